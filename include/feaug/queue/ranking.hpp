// The ordering of support rows by score, shared by every search on every backend.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/core/finite.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// A support row and its score for one query.
struct candidate {
  double score = 0;
  index_t slot = -1;
};

/// The score of a row of any norm. `dot` is the product of the query and the row as stored, summed
/// by exact_multiply_add in index order; `inverse_norm` is 1 / max(‖row‖, 1e-12), or NaN for a row
/// with NaN or ∞.
FEAUG_HD constexpr double ranking_score(double dot, double inverse_norm) {
  return dot * inverse_norm;
}

/// The score of a row stored as a unit row: the dot product itself. With a finite query only a row
/// that is not finite can have an infinite product; its score is NaN, as in ranking_score.
FEAUG_HD constexpr double unit_ranking_score(double dot) {
  return detail::is_finite(dot) ? dot : dot - dot;
}

/// Larger scores first, equal scores by the lower slot. NaN ranks after every number; NaNs are
/// ordered by the lower slot.
FEAUG_HD constexpr bool ranks_before(const candidate& a, const candidate& b) {
  const bool a_is_nan = detail::is_nan(a.score);
  const bool b_is_nan = detail::is_nan(b.score);
  if (a_is_nan != b_is_nan) return b_is_nan;
  if (a_is_nan || feaug::detail::is_equal(a.score, b.score)) return a.slot < b.slot;
  return a.score > b.score;
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
