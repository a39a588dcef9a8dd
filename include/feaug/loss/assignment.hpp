// Assignments from rows of scores: the log-sum-exp and exponents, shared by all backends.
#pragma once

#include "feaug/header_begin.hpp"

#include <limits>

#include "feaug/core/element.hpp"
#include "feaug/core/elementary.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Assignments in implicit form: row i is what sinkhorn would have written for it. They are
/// recomputed from the scores and one potential per prototype; no second N × P array is stored.
template <element T, memory_space Space = memory_space::host>
struct assignment_target {
  matrix_view<const T, Space> scores = {};           ///< N × P
  vector_view<const double, Space> potentials = {};  ///< P, from sinkhorn_potentials
  double epsilon = 0.05;                             ///< as given to sinkhorn_potentials
  index_t iterations = 3;                            ///< as given to sinkhorn_potentials
};

namespace detail {

/// A constant, because device code must not call functions of numeric_limits.
inline constexpr double largest_finite = std::numeric_limits<double>::max();

/// Online log Σ eˣ: the largest x so far, and the sum relative to it. Exact to rounding for all
/// finite x; −∞ adds nothing; NaN and +∞ make the result NaN.
struct log_sum_exp {
  double largest = -largest_finite;
  double sum = 0;

  /// `exp` computes the exponential of a number ≤ 0. The same call serves x above and below the
  /// largest, so that a loop over columns has no branch.
#ifdef __CUDACC__
#pragma nv_exec_check_disable
#endif
  template <class Exp>
  FEAUG_HD void add(double x, const Exp& exp) {
    const double above = x - largest;
    const double ratio = exp(above > 0 ? -above : above);
    sum = above > 0 ? sum * ratio + 1.0 : sum + ratio;
    largest = above > 0 ? x : largest;
  }

  [[nodiscard]] FEAUG_HD double value() const {
    return largest > largest_finite ? largest - largest : largest + feaug::detail::log(sum);
  }
};

/// The negative of a log-sum-exp, to be added to exponents. 0 for an empty sum (only scores of −∞):
/// the exponents are −∞ and stay −∞.
FEAUG_HD inline double lowering(double log_sum_exp) {
  return log_sum_exp < -largest_finite ? 0.0 : -log_sum_exp;
}

/// The exponents of a row: score / ε + the prototype's potential for assignments, score / τ for a
/// prediction.
template <class T, memory_space S>
struct row_exponents {
  const T* scores;
  double scale;
  vector_view<const double, S> potentials = {};  ///< empty: all 0

  [[nodiscard]] FEAUG_HD double operator()(index_t j) const {
    const double scaled = static_cast<double>(load(scores[j])) * scale;
    return potentials.data == nullptr ? scaled : scaled + potentials[j];
  }
};

}  // namespace detail
}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
