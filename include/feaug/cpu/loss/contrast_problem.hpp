// What the two passes over logits work on, and what they leave: see contrast.hpp.
#pragma once

#include <cmath>
#include <concepts>
#include <limits>
#include <type_traits>
#include <utility>

#include "feaug/core/function_ref.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/loss/row_reader.hpp"
#include "feaug/loss/pairing.hpp"
#include "feaug/loss/softmax_weights.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// Rows against columns: s_ij = scale · row_i · column_j, computed in C.
template <std::floating_point C>
struct contrast {
  row_reader<C> rows;
  row_reader<C> columns;
  row_reader<C> positives;  ///< what pairs points into
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

/// A pass calls finish(row, statistics, mean) once for every row, in any order. mean is Σ softmax_j
/// · column_j over the row's columns without its positive: `cols` numbers that finish may change;
/// null where it is not asked for.
template <class C>
using row_finish = std::type_identity_t<
    feaug::detail::function_ref<void(index_t row, const row_statistics& found, C* mean)>>;
/// The same with a row's weighted sum of columns, which finish may change: finish(row, sum).
template <class C>
using sum_finish = std::type_identity_t<feaug::detail::function_ref<void(index_t row, C* sum)>>;

using feaug::detail::softmax_weights;

/// What row i multiplies exp(s − shift) with; 0 where its sum was empty.
template <class C>
C weight_with_shift(const softmax_weights& weights, index_t i, C shift) {
  if (weights.log_sum[i] == -std::numeric_limits<double>::infinity()) return C{0};
  return static_cast<C>(weights.coefficient[i] *
                        std::exp(static_cast<double>(shift) - weights.log_sum[i]));
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu
