// Distances of views and soft-maxes over the other rows, for the loss and the diagnostics.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "feaug/core/element.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/loss/contrast.hpp"
#include "feaug/cpu/loss/row_stack.hpp"
#include "feaug/loss/alignment_and_uniformity.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// ‖a·of_a − b·of_b‖² of two rows. Differences are squared as they are, so that rows hardly apart
/// keep their digits.
template <element T>
double squared_distance(const T* a, double of_a, const T* b, double of_b, index_t cols) {
  double squared = 0;
  for (index_t j = 0; j < cols; ++j) {
    const double difference =
        static_cast<double>(load(a[j])) * of_a - static_cast<double>(load(b[j])) * of_b;
    squared += difference * difference;
  }
  return squared;
}

/// Every row against all others, s_ij = 2t·cos_ij: log_sums[i] = log Σ_{j≠i} exp s_ij, and, where
/// `means` (N × D without gaps) is given, Σ_{j≠i} softmax_ij · unit_j.
template <element T>
feaug::detail::pair_sum sum_over_pairs(cpu_context& ctx, const row_stack<T>& stack, double t,
                                       double* log_sums, compute_t<T>* means) {
  using C = compute_t<T>;
  const index_t rows = stack.rows();
  const index_t cols = stack.first.cols();
  // A row's “positive” is the row itself, which is left out anyway.
  const contrast<C> pairs = {.rows = stack,
                             .columns = stack,
                             .positives = stack,
                             .pairs = {.shift = 0, .partners = rows, .self = true},
                             .positives_are_columns = false,
                             .cols = cols,
                             .scale = 2 * t};
  soft_max_pass<C>(ctx, pairs, means != nullptr, false,
                   [=](index_t i, const row_statistics& row, C* mean) {
                     log_sums[i] = row.log_sum;
                     if (mean != nullptr) std::copy_n(mean, cols, means + i * cols);
                   });
  feaug::detail::pair_sum all = {.largest = -std::numeric_limits<double>::infinity(), .sum = 0};
  for (index_t i = 0; i < rows; ++i) all.largest = std::max(all.largest, log_sums[i]);
  for (index_t i = 0; i < rows; ++i) all.sum += std::exp(log_sums[i] - all.largest);
  return all;
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu
