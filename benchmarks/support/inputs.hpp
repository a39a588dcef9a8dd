// Inputs of the benchmarks: the same features for every precision and peer, with enough spread to
// reveal wrong results.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "feaug/core/tensor_view.hpp"

namespace bench {

using feaug::index_t;

struct matrix {
  index_t rows = 0;
  index_t cols = 0;
  std::vector<float> values = {};
};

inline matrix zeros(index_t rows, index_t cols) {
  return {rows, cols, std::vector<float>(static_cast<std::size_t>(rows * cols))};
}

/// Standard normal features.
inline matrix features(index_t rows, index_t cols, std::uint32_t seed) {
  matrix x = zeros(rows, cols);
  std::mt19937 words(seed);
  std::normal_distribution<float> normal;
  for (float& value : x.values) value = normal(words);
  return x;
}

/// Another view of the same samples: cosines are near 0.8 with the same sample, near 0 with others.
inline matrix other_view(const matrix& x, std::uint32_t seed) {
  matrix y = features(x.rows, x.cols, seed);
  for (std::size_t i = 0; i < y.values.size(); ++i)
    y.values[i] = 0.8F * x.values[i] + 0.6F * y.values[i];
  return y;
}

/// Mean and root mean square of to − from.
inline std::vector<double> moments_of_change(const matrix& from, const matrix& to) {
  double sum = 0;
  double squares = 0;
  for (std::size_t i = 0; i < from.values.size(); ++i) {
    const double change = static_cast<double>(to.values[i]) - from.values[i];
    sum += change;
    squares += change * change;
  }
  const auto count = static_cast<double>(from.values.size());
  return {sum / count, std::sqrt(squares / count)};
}

/// Rows divided by their L2 norms, as a queue stores them.
inline matrix unit_rows(matrix x) {
  for (index_t i = 0; i < x.rows; ++i) {
    float* const row = x.values.data() + i * x.cols;
    double sum = 0;
    for (index_t j = 0; j < x.cols; ++j) sum += static_cast<double>(row[j]) * row[j];
    for (index_t j = 0; j < x.cols; ++j) row[j] = static_cast<float>(row[j] / std::sqrt(sum));
  }
  return x;
}

}  // namespace bench
