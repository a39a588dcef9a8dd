// What a network learns, and what else belongs to its state: a flat list that optimiser, momentum
// copy and checkpoint walk.
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

/// A network's state by name: parameters, and buffers (running statistics) that no optimiser
/// touches.
template <class S>
struct state {
  std::vector<std::pair<std::string, parameter<S>*>> parameters;
  std::vector<std::pair<std::string, matrix<S>*>> buffers;

  void zero_gradients() const {
    for (const auto& [name, p] : parameters) p->gradient.setZero();
  }
};

}  // namespace network
