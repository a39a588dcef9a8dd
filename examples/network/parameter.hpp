// Parameters and the other state of a network, as a flat list for optimiser, momentum copy and
// checkpoint.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "matrix.hpp"

namespace network {

template <class S>
struct parameter {
  matrix<S> value;
  matrix<S> gradient;

  void resize(index rows, index cols) {
    value.setZero(rows, cols);
    gradient.setZero(rows, cols);
  }
};

/// A network's state by name: parameters, and buffers (running statistics), which the optimiser
/// does not change.
template <class S>
struct state {
  std::vector<std::pair<std::string, parameter<S>*>> parameters;
  std::vector<std::pair<std::string, matrix<S>*>> buffers;

  void zero_gradients() const {
    for (const auto& [name, p] : parameters) p->gradient.setZero();
  }
};

}  // namespace network
