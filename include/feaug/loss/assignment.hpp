// Scores as assignments: what turns a row of scores into numbers that sum to 1, on every backend.
#pragma once

#include <cmath>
#include <limits>

#include "feaug/core/element.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Assignments that are not stored: row i is what sinkhorn would have written for it. The scores
/// and one potential a prototype are enough to make it again.
template <element T, memory_space Space = memory_space::host>
struct assignment_target {
  matrix_view<const T, Space> scores = {};           ///< N × P
  vector_view<const double, Space> potentials = {};  ///< P, from sinkhorn_potentials
  double epsilon = 0.05;                             ///< what sinkhorn_potentials was told
  index_t iterations = 3;                            ///< the same
};

namespace detail {

/// A constant, since device code may not call numeric_limits' functions.
inline constexpr double largest_finite = std::numeric_limits<double>::max();

/// log Σ eˣ over numbers as they come: the largest so far, and the sum relative to it. It is exact
/// to rounding for all finite x; −∞ adds nothing; NaN and +∞ make it NaN.
struct log_sum {
  double largest = -largest_finite;
  double sum = 0;

  /// `exp` is the exponential to use, of a number that is at most 0. One serves both cases, the new
  /// number above the largest and below, so that a loop over columns has no branch.
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
    return largest > largest_finite ? largest - largest : largest + std::log(sum);
  }
};

/// What takes a log-sum away from exponents. Nothing where the sum was empty (scores of −∞ alone):
/// those exponents are −∞ and stay so.
FEAUG_HD inline double lowering(double log_sum) {
  return log_sum < -largest_finite ? 0.0 : -log_sum;
}

/// The exponents of a row's assignments, score / ε + potential of the prototype, or those of a
/// prediction, score / τ.
template <class T, memory_space S>
struct row_exponents {
  const T* scores;
  double scale;
  vector_view<const double, S> potentials = {};  ///< empty: 0

  [[nodiscard]] FEAUG_HD double operator()(index_t j) const {
    const double scaled = static_cast<double>(load(scores[j])) * scale;
    return potentials.data == nullptr ? scaled : scaled + potentials[j];
  }
};

}  // namespace detail
}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
