// Inputs and outputs of the two passes over logits; see contrast.hpp.
#pragma once

#include "feaug/header_begin.hpp"

#include <concepts>
#include <limits>
#include <type_traits>
#include <utility>

#include "feaug/core/elementary.hpp"
#include "feaug/core/finite.hpp"
#include "feaug/core/function_ref.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/loss/row_reader.hpp"
#include "feaug/loss/pairing.hpp"
#include "feaug/loss/softmax_weights.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// The matrix of logits s_ij = scale · row_i · column_j, computed in C.
template <std::floating_point C>
struct contrast_problem {
  row_reader<C> rows;
  row_reader<C> columns;
  row_reader<C> positives;  ///< the rows that `pairs` indexes
  feaug::detail::pairing pairs = {};
  bool positives_are_columns =
      true;          ///< column positive(i) is row i's positive, excluded from its sum
  index_t cols = 0;  ///< features
  double scale = 1;  ///< 1 / temperature
  feaug::detail::labelling labels = {};  ///< if given, they define the positives instead of `pairs`
  feaug::detail::exclusion<> excluded = {};

  /// The same with the sides exchanged, for gradients with respect to the columns.
  [[nodiscard]] contrast_problem swapped() const {
    contrast_problem other = *this;
    std::swap(other.rows, other.columns);
    other.positives = rows;
    return other;
  }
};

/// Results of a row's softmax over the columns.
struct row_statistics {
  double log_sum_exp;  ///< n = log Σ exp s_j over the columns except the positive; −∞ if empty
  double positive_cosine;  ///< row · positive; 0 if the row has no positive
  double mean_cosine;  ///< Σ softmax_j · (row · column_j) over the same columns; 0 unless wanted
  /// With labels, the mean of the positives' logits, rounded as in log_sum_exp: the difference of the
  /// two can be small. positive_cosine is then their mean cosine.
  double positive_logit = 0;
};

/// A pass calls finish(row, statistics, mean) once per row, in any order. mean is Σ softmax_j ·
/// column_j over the row's columns except its positive: `cols` numbers that finish may change; null
/// if not wanted.
template <class C>
using row_finish = std::type_identity_t<
    feaug::detail::function_ref<void(index_t row, const row_statistics& found, C* mean)>>;
/// The same with a row's weighted sum of columns: finish(row, sum), which may change sum.
template <class C>
using sum_finish = std::type_identity_t<feaug::detail::function_ref<void(index_t row, C* sum)>>;

using feaug::detail::softmax_weights;

/// Row i's factor of exp(s − shift); 0 if its sum was empty.
template <class C>
C weight_with_shift(const softmax_weights& weights, index_t i, C shift) {
  if (feaug::detail::is_equal(weights.log_sum_exp[i], -std::numeric_limits<double>::infinity()))
    return C{0};
  return static_cast<C>(weights.coefficient[i] *
                        feaug::detail::exp(static_cast<double>(shift) - weights.log_sum_exp[i]));
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
