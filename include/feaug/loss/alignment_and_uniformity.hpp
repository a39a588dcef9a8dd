// Alignment and uniformity on the unit sphere (Wang and Isola, arXiv 2005.10242): formulas shared
// by the loss and the diagnostics.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/core/elementary.hpp"
#include "feaug/core/finite.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::detail {

/// Unit rows with a smaller squared distance count as equal. Coordinates of unit rows are rounded
/// to 2⁻⁵³. If a compiler fuses one of the two products with the subtraction, that rounding remains
/// in the difference of equal rows, and a power below 2 would enlarge it.
inline constexpr double agreeing_squared_distance = 0x1p-100;

/// distance^alpha, from the squared distance.
FEAUG_HD inline double distance_to_the(double alpha, double squared) {
  if (squared <= agreeing_squared_distance) return 0;
  return feaug::detail::is_equal(alpha, 2) ? squared : feaug::detail::pow(squared, 0.5 * alpha);
}

/// The factor of (a − b) in ∂‖a − b‖^alpha / ∂a, from ‖a − b‖²; 0 for equal rows.
FEAUG_HD inline double slope_of_distance(double alpha, double squared) {
  if (squared <= agreeing_squared_distance) return 0;
  return feaug::detail::is_equal(alpha, 2) ? 2.0
                                           : alpha * feaug::detail::pow(squared, 0.5 * alpha - 1);
}

/// Σ_i Σ_{j≠i} exp s_ij with s_ij = 2t·cos_ij, from the rows' log-sum-exps n_i = log Σ_{j≠i} exp
/// s_ij.
struct pair_sum {
  double largest;  ///< max_i n_i
  double sum;      ///< Σ_i exp(n_i − largest)

  /// log mean_{i≠j} exp(−t·‖u_i − u_j‖²): −t·‖u_i − u_j‖² = s_ij − 2t.
  [[nodiscard]] FEAUG_HD double uniformity(double t, index_t rows) const {
    const double n = static_cast<double>(rows);
    return (largest - 2 * t) + feaug::detail::log(sum) - feaug::detail::log(n * (n - 1));
  }
  /// The factor of row i's softmax mean in the gradient of the uniformity with respect to unit row
  /// i. Each pair occurs twice and ∂s_ij/∂cos_ij = 2t, hence 4t.
  [[nodiscard]] FEAUG_HD double slope(double t, double log_sum_exp) const {
    return 4 * t * feaug::detail::exp(log_sum_exp - largest) / sum;
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::detail

#include "feaug/header_end.hpp"
