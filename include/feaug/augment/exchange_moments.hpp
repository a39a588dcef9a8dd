// A feature with the mean and the spread of its partner.
#pragma once

#include <cmath>
#include <string_view>

#include "feaug/augment/row_mix.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// out = (x − μx)/σx·σp + μp over each row, σ = √(biased variance + eps): what x looks like, with
/// its partner's moments (Li et al., MoEx, arXiv 2002.11102). The gradient is exact, to x and to
/// the partner. A constant row counts as deviations of 0: the output is μp. NaN or ∞ in a row gives
/// NaN throughout the rows that read it. The partner of a row is another row of the batch, by a
/// permutation that is drawn inside (it may fix rows); with_partner takes any view instead. Since
/// the permutation is one of the rows at hand, micro-batches draw other partners than the whole
/// batch.
struct exchange_moments {
  double eps = 1e-5;  ///< added to the variances

  static constexpr std::string_view name = "exchange_moments";
  static constexpr bool centred = true;
  static constexpr bool compares_rows = false;

  void validate() const { check::positive(name, "eps", eps); }

  [[nodiscard]] FEAUG_HD row_measure measure(double length, double centre, index_t cols) const {
    // Not the sum of squares, which may be out of range. Of a length that is not finite, NaN.
    const double root = std::sqrt(static_cast<double>(cols));
    const double deviation = std::hypot(length / root, std::sqrt(eps)) + (length - length);
    return {centre, 1 / deviation, 1 / deviation};
  }

  [[nodiscard]] FEAUG_HD row_combination output(const row_pair& pair, double /*weight*/) const {
    return {0, 1 / pair.partner.factor, 0, pair.partner.centre};
  }

  [[nodiscard]] FEAUG_HD row_gradients gradients(const row_pair& pair, const gradient_sums& sums,
                                                 double /*weight*/) const {
    const auto count = static_cast<double>(pair.cols);
    const double mean = sums.g / count;
    const double spread = sums.g_x / count;
    const double ratio = pair.x.slope / pair.partner.factor;  // σp / σx
    return {.x = {ratio, -ratio * spread, 0, -ratio * mean}, .partner = {0, 0, spread, mean}};
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
