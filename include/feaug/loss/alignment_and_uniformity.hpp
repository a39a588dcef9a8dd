// Alignment and uniformity on the unit sphere (Wang and Isola, arXiv 2005.10242): the formulas that
// the loss and the diagnostics share.
#pragma once

#include <cmath>

#include "feaug/core/macros.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::detail {

/// Unit rows nearer than this, squared, are equal: coordinates of unit rows are rounded to 2⁻⁵³, and
/// a compiler that fuses one of the two products with the subtraction leaves that rounding in the
/// difference of equal rows, where a power below 2 would enlarge it.
inline constexpr double agreeing_squared_distance = 0x1p-100;

/// distance^alpha from the distance's square.
FEAUG_HD inline double distance_to_the(double alpha, double squared) {
  if (squared <= agreeing_squared_distance) return 0;
  return alpha == 2 ? squared : std::pow(squared, 0.5 * alpha);
}

/// The factor of (a − b) in ∂‖a − b‖^alpha / ∂a, from ‖a − b‖²; 0 where the rows agree.
FEAUG_HD inline double slope_of_distance(double alpha, double squared) {
  if (squared <= agreeing_squared_distance) return 0;
  return alpha == 2 ? 2.0 : alpha * std::pow(squared, 0.5 * alpha - 1);
}

/// Σ_i Σ_{j≠i} exp s_ij with s_ij = 2t·cos_ij, from the rows' log sums n_i = log Σ_{j≠i} exp s_ij.
struct pair_sum {
  double largest;  ///< of the n_i
  double sum;      ///< Σ_i exp(n_i − largest)

  /// log mean_{i≠j} exp(−t·‖u_i − u_j‖²): −t·‖u_i − u_j‖² = s_ij − 2t.
  [[nodiscard]] FEAUG_HD double uniformity(double t, index_t rows) const {
    const double n = static_cast<double>(rows);
    return (largest - 2 * t) + std::log(sum) - std::log(n * (n - 1));
  }
  /// The factor of row i's soft-max mean in the gradient of the uniformity by unit row i. Each pair
  /// occurs twice, and ∂s_ij/∂cos_ij = 2t: hence 4t.
  [[nodiscard]] FEAUG_HD double slope(double t, double log_sum) const {
    return 4 * t * std::exp(log_sum - largest) / sum;
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::detail
