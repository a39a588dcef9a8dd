// Arguments and results of the two passes over logits: see loss/contrast.cuh.
#pragma once

#include "feaug/header_begin.hpp"

#include <cmath>
#include <utility>

#include "feaug/core/element.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/core/row_filter.cuh"
#include "feaug/cuda/loss/concatenated_rows.cuh"
#include "feaug/cuda/loss/temperature.cuh"
#include "feaug/loss/pairing.hpp"
#include "feaug/loss/softmax_weights.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda::inline FEAUG_CUBLAS_NAMESPACE {

/// Which columns are left out of a row's sum.
struct left_out_columns {
  feaug::detail::pairing pairs = {};
  bool positives = true;  ///< column positive(i) is row i's positive

  [[nodiscard]] __device__ bool contain(index_t i, index_t j) const {
    return (positives && j == pairs.positive(i)) || (pairs.self && j == i + pairs.self_shift);
  }
  /// True if any of the columns begin … end − 1 is left out for any of the rows first … last.
  [[nodiscard]] __device__ bool touch(index_t first, index_t last, index_t begin,
                                      index_t end) const {
    const auto meets = [=](index_t shift) { return first + shift < end && last + shift >= begin; };
    return (positives && meets(pairs.shift)) || (pairs.self && meets(pairs.self_shift));
  }
};

/// Rows against columns: s_ij = row_i · column_j / temperature.
template <element T>
struct contrast_problem {
  concatenated_rows<T> rows;
  concatenated_rows<T> columns;
  concatenated_rows<T> positives;  ///< pairs.positive(i) is an index into these
  feaug::detail::pairing pairs = {};
  /// True if column positive(i) is row i's positive and is left out of its sum.
  bool positives_are_columns = true;
  index_t cols = 0;  ///< features
  cuda::temperature<compute_t<T>> temperature = {};
  /// If given, the labels choose the positives and `pairs` does not. Chunked passes only.
  feaug::detail::labelling labels = {};
  /// Which columns exist, and which a row leaves out. Chunked passes only.
  row_filter filter = {};

  /// The problem with rows and columns exchanged, for gradients with respect to the columns.
  [[nodiscard]] contrast_problem swapped() const {
    contrast_problem other = *this;
    std::swap(other.rows, other.columns);
    other.positives = rows;
    return other;
  }

  [[nodiscard]] FEAUG_HD left_out_columns left_out() const {
    return {pairs, positives_are_columns};
  }
};

/// Results of softmax_pass for every row, arrays in device memory.
template <class C>
struct softmax_rows {
  double* log_sum_exp = nullptr;  ///< n = log Σ exp s_j over all columns except the positive
  double* mean_cosine = nullptr;  ///< Σ softmax_j · (row · column_j); null: not wanted
  C* mean = nullptr;              ///< Σ softmax_j · column_j, rows × cols; null: not wanted
  /// With labels: Σ s_ip over the positives, rounded as in log_sum_exp.
  double* positive_sum = nullptr;
};

using feaug::detail::softmax_weights;

namespace detail {

/// −∞ as a C.
template <class C>
__device__ C minus_infinity() {
  return -static_cast<C>(INFINITY);
}

/// What is subtracted from the exponent of a row with this log_sum_exp. For log_sum_exp −∞, the row's sum
/// was empty, so the shift is +∞ and makes every weight 0.
template <class C>
__device__ C exponent_shift(double log_sum_exp) {
  return log_sum_exp == minus_infinity<double>() ? static_cast<C>(INFINITY)
                                                 : static_cast<C>(log_sum_exp);
}

}  // namespace detail

/// The gradient with respect to the unit rows: (Σ_j weight_ij column_j − (a_i + b_p(i))
/// positive_p(i)) / τ, where a_i and b_p(i) are the pulls of row i and of column p(i).
template <element T>
struct contrast_gradient {
  contrast_problem<T> problem;
  const compute_t<T>* sums;  ///< Σ_j weight_ij column_j
  softmax_weights of_rows;
  softmax_weights of_columns;

  __device__ double operator()(index_t i, index_t j) const {
    auto gradient = static_cast<double>(sums[i * problem.cols + j]);
    const index_t positive = problem.pairs.positive(i);
    if (positive >= 0) {
      const double positive_gradient =
          of_rows.positive_gradient(i) + of_columns.positive_gradient(positive);
      gradient -= positive_gradient * problem.positives.element(positive, j);
    }
    return gradient / problem.temperature.value();
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda

#include "feaug/header_end.hpp"
