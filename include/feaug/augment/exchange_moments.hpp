// A feature with the mean and the standard deviation of its partner.
#pragma once

#include "feaug/header_begin.hpp"

#include <string_view>

#include "feaug/augment/row_mix.hpp"
#include "feaug/core/elementary.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// out = (x − μx)/σx·σp + μp for each row, with σ = √(biased variance + eps): the normalised row x
/// with its partner's moments (Li et al., MoEx, arXiv 2002.11102). The gradient is exact, with
/// respect to x and to the partner. A constant row has deviations of 0, so the output is μp. NaN or
/// ∞ in a row makes every row that reads it NaN. The partner of a row is another row of the batch,
/// given by an internally drawn permutation (which may have fixed points); with_partner takes any
/// view instead. Since the permutation covers only the rows of the call, micro-batches draw other
/// partners than the whole batch.
struct exchange_moments {
  double eps = 1e-5;  ///< added to the variances

  static constexpr std::string_view name = "exchange_moments";
  static constexpr bool centred = true;
  static constexpr bool compares_rows = false;

  void validate() const { check::positive(name, "eps", eps); }

  [[nodiscard]] FEAUG_HD row_measure measure(double length, double centre, index_t cols) const {
    // hypot, since the sum of squares may overflow. A length that is not finite gives NaN.
    const double root = feaug::detail::sqrt(static_cast<double>(cols));
    const double deviation =
        feaug::detail::hypot(length / root, feaug::detail::sqrt(eps)) + (length - length);
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

#include "feaug/header_end.hpp"
