// Distances between views, and softmaxes of each row over all other rows; shared by the loss and
// the diagnostics.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <limits>

#include "feaug/core/element.hpp"
#include "feaug/core/elementary.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/loss/concatenated_rows.hpp"
#include "feaug/cpu/loss/contrast.hpp"
#include "feaug/loss/alignment_and_uniformity.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// ‖a·of_a − b·of_b‖² of two rows. Sums squared differences directly, which is accurate for nearly
/// equal rows.
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

/// The softmax of every row over all others, with s_ij = 2t·cos_ij: log_sum_exps[i] = log Σ_{j≠i} exp
/// s_ij and, if `means` (N × D, contiguous) is given, Σ_{j≠i} softmax_ij · unit_j. Cost: see
/// softmax_pass.
template <element T>
feaug::detail::pair_sum sum_over_pairs(cpu_context& ctx, const concatenated_rows<T>& stack,
                                       double t, double* log_sum_exps, compute_t<T>* means) {
  using C = compute_t<T>;
  const index_t rows = stack.rows();
  const index_t cols = stack.first.cols();
  // Each row is set as its own “positive”; it is excluded anyway.
  const contrast_problem<C> pairs = {.rows = stack,
                                     .columns = stack,
                                     .positives = stack,
                                     .pairs = {.shift = 0, .partners = rows, .self = true},
                                     .positives_are_columns = false,
                                     .cols = cols,
                                     .scale = 2 * t};
  softmax_pass<C>(ctx, pairs, means != nullptr, false,
                  [=](index_t i, const row_statistics& row, C* mean) {
                    log_sum_exps[i] = row.log_sum_exp;
                    if (mean != nullptr) std::copy_n(mean, cols, means + i * cols);
                  });
  feaug::detail::pair_sum all = {.largest = -std::numeric_limits<double>::infinity(), .sum = 0};
  for (index_t i = 0; i < rows; ++i) all.largest = std::max(all.largest, log_sum_exps[i]);
  for (index_t i = 0; i < rows; ++i) all.sum += feaug::detail::exp(log_sum_exps[i] - all.largest);
  return all;
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
