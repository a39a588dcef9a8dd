// What the two passes over logits work on, and what they leave: see contrast.hpp.
#pragma once

#include <cmath>
#include <limits>
#include <utility>

#include "feaug/core/element.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/loss/row_stack.hpp"
#include "feaug/loss/pairing.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// Rows against columns: s_ij = scale · row_i · column_j.
template <element T>
struct contrast {
  row_stack<T> rows;
  row_stack<T> columns;
  row_stack<T> positives;  ///< what pairs points into
  feaug::detail::pairing pairs = {};
  bool positives_are_columns =
      true;          ///< column positive(i) is row i's positive, to be left out of its sum
  index_t cols = 0;  ///< features
  double scale = 1;  ///< 1 / temperature
  feaug::detail::labelling labels = {};  ///< if given, they name the positives, not `pairs`
  feaug::detail::exclusion<> excluded = {};

  /// The same with the sides exchanged, for gradients by the columns.
  [[nodiscard]] contrast swapped() const {
    contrast other = *this;
    std::swap(other.rows, other.columns);
    other.positives = rows;
    return other;
  }
};

/// What a soft-max over the columns leaves of a row.
struct row_statistics {
  double log_sum;  ///< n = log Σ exp s_j over the columns but the positive; −∞ if there is no other
  double positive_cosine;  ///< row · positive; 0 where the row has none
  double mean_cosine;  ///< Σ softmax_j · (row · column_j) over the same columns; 0 unless asked for
  /// With labels, the mean of the positives' logits, each rounded as it is in log_sum: where they
  /// win by far, little is left of the difference. positive_cosine is their mean cosine.
  double positive_logit = 0;
};

/// What the rows of one side weigh in a gradient: coefficient_i · exp(s_ij − log_sum_i). Null: this
/// side has no soft-max.
struct soft_max_weights {
  const double* coefficient = nullptr;
  const double* log_sum = nullptr;
  const double* positive_weight = nullptr;  ///< of the positive's logit; null: 1

  /// What row i pulls its positive with.
  [[nodiscard]] double pull(index_t i) const {
    if (coefficient == nullptr) return 0;
    return positive_weight == nullptr ? coefficient[i] : coefficient[i] * positive_weight[i];
  }

  /// What row i multiplies exp(s − shift) with; 0 where its sum was empty.
  template <class C>
  [[nodiscard]] C with_shift(index_t i, C shift) const {
    if (log_sum[i] == -std::numeric_limits<double>::infinity()) return C{0};
    return static_cast<C>(coefficient[i] * std::exp(static_cast<double>(shift) - log_sum[i]));
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu
