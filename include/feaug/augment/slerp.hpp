// Spherical interpolation between the directions of a feature and its partner.
#pragma once

#include "feaug/header_begin.hpp"

#include <string_view>

#include "feaug/augment/row_mix.hpp"
#include "feaug/core/elementary.hpp"
#include "feaug/core/finite.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace detail {

/// out = x·unit(x) + partner·unit(p); both coefficients are functions of the angle ω.
struct arc_coefficients {
  double x;
  double partner;
  double x_slope;  ///< d x / dω / sin ω, which is finite at ω = 0
  double partner_slope;
  double cosine;
};

/// sin(tω) / sin ω, and its derivative with respect to ω, divided by sin ω.
struct sine_ratio {
  double value;
  double slope;
};

FEAUG_HD inline sine_ratio sine_ratio_of(double t, double angle, double sine, double cosine) {
  const double squares = angle * angle;
  if (squares < 1e-6) {
    // The formulas below subtract nearly equal numbers here; use the first terms of the series.
    const double cubic = 1 - t * t;
    const double quintic = 7 - t * t * (10 - 3 * t * t);
    return {t * (1 + squares * (cubic / 6 + squares * quintic / 360)),
            t * (cubic / 3 + squares * quintic / 90) * (1 + squares / 6)};
  }
  const double at = feaug::detail::sin(t * angle);
  return {at / sine,
          (t * feaug::detail::cos(t * angle) * sine - at * cosine) / (sine * sine * sine)};
}

/// If ‖unit(x) + unit(p)‖² is at most this, the rows count as opposite and have no unique arc.
inline constexpr double opposite_rows = 1e-12;

FEAUG_HD inline arc_coefficients arc_of(const row_pair& pair, double weight) {
  if (feaug::detail::is_equal(pair.x.slope, 0) || feaug::detail::is_equal(pair.partner.slope, 0)) {
    // Without a direction there is no angle: use a right angle, with cosine 0.
    const double quarter = 1.5707963267948966;
    return {feaug::detail::sin(weight * quarter), feaug::detail::sin((1 - weight) * quarter), 0, 0,
            0};
  }
  if (pair.sum <= opposite_rows) {
    const bool x_is_nearer = weight >= 0.5;
    return {x_is_nearer ? 1.0 : 0.0, x_is_nearer ? 0.0 : 1.0, 0, 0, 0};
  }
  // Uses half the angle, whose sine and cosine are ½‖x − p‖ and ½‖x + p‖. This is well-conditioned
  // at both ends, unlike the arc cosine of x·p.
  const double all = pair.difference + pair.sum;
  const double angle =
      2 * feaug::detail::atan2(feaug::detail::sqrt(pair.difference), feaug::detail::sqrt(pair.sum));
  const double sine =
      2 * feaug::detail::sqrt(pair.difference) * feaug::detail::sqrt(pair.sum) / all;
  const double cosine = (pair.sum - pair.difference) / all;
  const sine_ratio of_x = sine_ratio_of(weight, angle, sine, cosine);
  const sine_ratio of_partner = sine_ratio_of(1 - weight, angle, sine, cosine);
  return {of_x.value, of_partner.value, of_x.slope, of_partner.slope, cosine};
}

}  // namespace detail

/// out = sin(wω)/sin ω·unit(x) + sin((1 − w)ω)/sin ω·unit(partner) with w in [0, 1], where ω is the
/// angle between the two: a unit vector on the arc from the partner's direction (w = 0) to that of
/// x (w = 1) (Shoemake, 1985). The gradient is exact, through ω and the normalisation, with respect
/// to x and to the partner.
///
/// Equal directions: the arc is a point, and the coefficients are w and 1 − w. Opposite directions
/// (‖unit(x) + unit(p)‖ ≤ 1e-6): the arc is not unique, so the output is the nearer of the two,
/// unit(x) for w ≥ ½, otherwise unit(p); the gradient is that of this vector. A row with ‖x‖ ≤
/// 1e-12 counts as x / 1e-12, orthogonal to its partner, and its gradient is 0. NaN or ∞ in a row
/// makes every row that reads it NaN. Draws are those of interpolate.
struct slerp {
  weight_distribution distribution = weight_distribution::fixed;
  float weight = 0.5F;  ///< w for fixed
  float low = 0.0F;     ///< for uniform: w is uniform in [low, high)
  float high = 1.0F;
  float alpha = 2.0F;  ///< for beta: w is a Beta(alpha, beta) draw
  float beta = 2.0F;
  draw_per per = draw_per::row;

  static constexpr std::string_view name = "slerp";
  static constexpr float least = 0.0F;
  static constexpr float most = 1.0F;
  static constexpr std::string_view range = "a weight from 0 to 1";
  FEAUG_HD static constexpr float from_beta(float drawn) { return drawn; }

  static constexpr bool centred = false;
  static constexpr bool compares_rows = true;

  [[nodiscard]] FEAUG_HD row_measure measure(double length, double centre, index_t /*cols*/) const {
    const double inverse = inverse_norm(length, default_norm_eps);
    return {centre, inverse, length <= default_norm_eps ? 0.0 : inverse};
  }

  [[nodiscard]] FEAUG_HD row_combination output(const row_pair& pair, double w) const {
    const detail::arc_coefficients arc = detail::arc_of(pair, w);
    return {0, arc.x, arc.partner, 0};
  }

  [[nodiscard]] FEAUG_HD row_gradients gradients(const row_pair& pair, const gradient_sums& sums,
                                                 double w) const {
    const detail::arc_coefficients arc = detail::arc_of(pair, w);
    // dω / d unit(x) = −unit(p) / sin ω, up to a multiple of unit(x), which the normalisation
    // removes; likewise for unit(p).
    const double through_angle = arc.x_slope * sums.g_x + arc.partner_slope * sums.g_partner;
    const double along_x = arc.x * sums.g_x - through_angle * arc.cosine;
    const double along_partner = arc.partner * sums.g_partner - through_angle * arc.cosine;
    const double x = pair.x.slope;
    const double p = pair.partner.slope;
    return {.x = {x * arc.x, -x * along_x, -x * through_angle, 0},
            .partner = {p * arc.partner, -p * through_angle, -p * along_partner, 0}};
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
