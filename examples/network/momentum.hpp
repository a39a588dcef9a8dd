// The momentum target: an exponential moving average of the online network.
#pragma once

#include <cstddef>

#include "matrix.hpp"
#include "parameter.hpp"

namespace network {

/// target = momentum · target + (1 − momentum) · online, for parameters and running statistics.
/// Momentum 0 copies.
template <class S>
void follow(const state<S>& target, const state<S>& online, double momentum) {
  const auto keep = static_cast<S>(momentum);
  for (std::size_t i = 0; i < target.parameters.size(); ++i) {
    matrix<S>& t = target.parameters[i].second->value;
    t = keep * t + (S{1} - keep) * online.parameters[i].second->value;
  }
  for (std::size_t i = 0; i < target.buffers.size(); ++i) {
    matrix<S>& t = *target.buffers[i].second;
    t = keep * t + (S{1} - keep) * *online.buffers[i].second;
  }
}

}  // namespace network
