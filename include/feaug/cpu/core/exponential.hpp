// eˣ over arrays: besides matrix products, most of the time of a softmax.
#pragma once

#include "feaug/header_begin.hpp"

#include <bit>
#include <cstdint>

#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/lanes.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// eˣ within 2 ulp, without branches, so that loops over it vectorise. Exactly 0 where eˣ would not
/// be a normal number (below −87 for float, −708 for double; also −∞), NaN for NaN.
inline float fast_exp(float x) {
  // Adding 1.5 · 2²³ rounds x / ln 2 to an integer and leaves it in the low bits of the sum.
  constexpr float to_integer = 12582912.0F;
  const float high = x > 88.0F ? 88.0F : x;
  const float clamped = high < -87.0F ? -87.0F : high;
  const float shifted = clamped * 1.44269504F + to_integer;
  const float k = shifted - to_integer;
  const float r = (clamped - k * 0.693359375F) + k * 2.12194440e-4F;
  float series = 1.0F / 5040.0F;
  series = series * r + 1.0F / 720.0F;
  series = series * r + 1.0F / 120.0F;
  series = series * r + 1.0F / 24.0F;
  series = series * r + 1.0F / 6.0F;
  series = series * r + 0.5F;
  series = series * r + 1.0F;
  series = series * r + 1.0F;
  const float power =
      std::bit_cast<float>((std::bit_cast<std::uint32_t>(shifted) << 23) + 0x3F800000U);
  return x < -87.0F ? 0.0F : series * power;
}

inline double fast_exp(double x) {
  constexpr double to_integer = 6755399441055744.0;  // 1.5 · 2⁵²
  const double high = x > 709.0 ? 709.0 : x;
  const double clamped = high < -708.0 ? -708.0 : high;
  const double shifted = clamped * 1.4426950408889634 + to_integer;
  const double k = shifted - to_integer;
  const double r = (clamped - k * 0.693145751953125) - k * 1.42860682030941723212e-6;
  double series = 1.0 / 6227020800.0;
  series = series * r + 1.0 / 479001600.0;
  series = series * r + 1.0 / 39916800.0;
  series = series * r + 1.0 / 3628800.0;
  series = series * r + 1.0 / 362880.0;
  series = series * r + 1.0 / 40320.0;
  series = series * r + 1.0 / 5040.0;
  series = series * r + 1.0 / 720.0;
  series = series * r + 1.0 / 120.0;
  series = series * r + 1.0 / 24.0;
  series = series * r + 1.0 / 6.0;
  series = series * r + 0.5;
  series = series * r + 1.0;
  series = series * r + 1.0;
  const double power =
      std::bit_cast<double>((std::bit_cast<std::uint64_t>(shifted) << 52) + 0x3FF0000000000000U);
  return x < -708.0 ? 0.0 : series * power;
}

/// x[j] = exp(scale · x[j] − shift) for j < count.
template <class C>
void exponentials(C* x, index_t count, C scale, C shift) {
  for_each_in_lanes(count, [=](index_t j) { x[j] = fast_exp(scale * x[j] - shift); });
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
