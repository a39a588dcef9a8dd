// What the two passes over logits work on, and what they leave: see loss/contrast.cuh.
#pragma once

#include <cmath>
#include <utility>

#include "feaug/core/element.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/core/row_filter.cuh"
#include "feaug/cuda/loss/row_stack.cuh"
#include "feaug/cuda/loss/temperature.cuh"
#include "feaug/loss/pairing.hpp"
#include "feaug/loss/softmax_weights.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda {

/// Which columns a row's sum passes over.
struct left_out_columns {
  feaug::detail::pairing pairs = {};
  bool positives = true;  ///< column positive(i) is row i's positive

  [[nodiscard]] __device__ bool contain(index_t i, index_t j) const {
    return (positives && j == pairs.positive(i)) || (pairs.self && j == i + pairs.self_shift);
  }
  /// Whether any of the columns begin … end − 1 is left out for any of the rows first … last.
  [[nodiscard]] __device__ bool touch(index_t first, index_t last, index_t begin,
                                      index_t end) const {
    const auto meets = [=](index_t shift) { return first + shift < end && last + shift >= begin; };
    return (positives && meets(pairs.shift)) || (pairs.self && meets(pairs.self_shift));
  }
};

/// Rows against columns: s_ij = row_i · column_j / temperature.
template <element T>
struct contrast {
  row_stack<T> rows;
  row_stack<T> columns;
  row_stack<T> positives;  ///< what pairs points into
  feaug::detail::pairing pairs = {};
  /// Column positive(i) is row i's positive, and left out of its sum.
  bool positives_are_columns = true;
  index_t cols = 0;  ///< features
  cuda::temperature<compute_t<T>> temperature = {};
  /// If given, they name the positives, not `pairs`. By chunks only.
  feaug::detail::labelling labels = {};
  /// Columns that there are, and that rows pass over. By chunks only.
  row_filter filter = {};

  /// The same with the sides exchanged, for gradients by the columns.
  [[nodiscard]] contrast swapped() const {
    contrast other = *this;
    std::swap(other.rows, other.columns);
    other.positives = rows;
    return other;
  }

  [[nodiscard]] FEAUG_HD left_out_columns left_out() const {
    return {pairs, positives_are_columns};
  }
};

/// What soft_max_pass leaves of every row, arrays in device memory.
template <class C>
struct soft_max_rows {
  double* log_sum = nullptr;      ///< n = log Σ exp s_j over the columns but the positive
  double* mean_cosine = nullptr;  ///< Σ softmax_j · (row · column_j); null: not wanted
  C* mean = nullptr;              ///< Σ softmax_j · column_j, rows × cols; null: not wanted
  /// With labels: Σ s_ip over the positives, rounded as in log_sum.
  double* positive_sum = nullptr;
};

using feaug::detail::softmax_weights;

namespace detail {

template <class C>
__device__ C minus_infinity() {
  return -static_cast<C>(INFINITY);
}

/// What an exponent is lowered by for a row of this log_sum. +∞ makes the weight 0, which is right
/// for a row whose sum was empty (log_sum −∞).
template <class C>
__device__ C exponent_shift(double log_sum) {
  return log_sum == minus_infinity<double>() ? static_cast<C>(INFINITY) : static_cast<C>(log_sum);
}

}  // namespace detail

/// The gradient by the unit rows: (Σ_j weight_ij column_j − (a_i + b_p(i)) positive_p(i)) / τ.
template <element T>
struct contrast_gradient {
  contrast<T> problem;
  const compute_t<T>* sums;  ///< Σ_j weight_ij column_j
  softmax_weights of_rows;
  softmax_weights of_columns;

  __device__ double operator()(index_t i, index_t j) const {
    auto gradient = static_cast<double>(sums[i * problem.cols + j]);
    const index_t positive = problem.pairs.positive(i);
    if (positive >= 0) {
      const double pull = of_rows.pull(i) + of_columns.pull(positive);
      gradient -= pull * problem.positives.element(positive, j);
    }
    return gradient / problem.temperature.value();
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda
