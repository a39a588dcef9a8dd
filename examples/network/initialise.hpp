// He initialisation (arXiv 1502.01852) with feaug's counter-based random numbers: the same weights
// on every machine.
#pragma once

#include <cmath>

#include "feaug/core/random_normal.hpp"
#include "matrix.hpp"

namespace network {

template <class S>
void initialise(matrix<S>& weights, index fan_in, const feaug::random_key& key) {
  const double scale = std::sqrt(2.0 / static_cast<double>(fan_in));
  for (index i = 0; i < weights.rows(); ++i) {
    for (index j = 0; j < weights.cols(); ++j) {
      weights(i, j) = static_cast<S>(scale * static_cast<double>(feaug::draw_normal(key, i, j)));
    }
  }
}

}  // namespace network
