// log, exp, sine and cosine that give the same bits on every CPU and GPU, whatever the compiler's
// flags.
//
// Library functions differ in the last bit between C libraries and devices, and compilers differ in
// whether they contract a·b + c. Here every a·b + c is an explicit fma and everything else is a
// single IEEE operation, so the result is fully determined. The polynomials are Taylor series, on
// ranges small enough that the first omitted term is below half an ulp. Random draws use these
// functions; losses do not, since they only have to agree within a tolerance.
//
// nvcc's -use_fast_math approximates quotients and square roots and replaces subnormal floats by 0.
// Here, device code therefore states these instructions, and the conversion of a float to double,
// as PTX. Products, sums and fma need no such care: in these functions they are never subnormal.
#pragma once

#include "feaug/header_begin.hpp"

#include <cmath>
#include <cstdint>

#include "feaug/core/bit_cast.hpp"
#include "feaug/core/elementary.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::exact {

FEAUG_HD inline float divide(float x, float y) {
#if defined(__CUDA_ARCH__)
  float quotient = 0;
  asm("div.rn.f32 %0, %1, %2;" : "=f"(quotient) : "f"(x), "f"(y));
  return quotient;
#else
  return x / y;
#endif
}

FEAUG_HD inline float sqrt(float x) {
#if defined(__CUDA_ARCH__)
  float root = 0;
  asm("sqrt.rn.f32 %0, %1;" : "=f"(root) : "f"(x));
  return root;
#else
  return feaug::detail::sqrt(x);
#endif
}

/// The number as a double; subnormal floats, too.
FEAUG_HD inline double to_double(float x) {
#if defined(__CUDA_ARCH__)
  double wide = 0;
  asm("cvt.f64.f32 %0, %1;" : "=d"(wide) : "f"(x));
  return wide;
#else
  return static_cast<double>(x);
#endif
}
FEAUG_HD constexpr double to_double(double x) { return x; }

/// ln x for a positive normal number.
FEAUG_HD inline float log(float x) {
  // x = 2^exponent · m, m in [√½, √2): subtracting the bits of √½ moves the boundary there.
  const std::uint32_t bits = detail::bit_cast<std::uint32_t>(x);
  const std::uint32_t offset = bits - 0x3F3504F3U;
  const auto exponent = static_cast<float>(static_cast<std::int32_t>(offset) >> 23);
  const float m = detail::bit_cast<float>((offset & 0x007FFFFFU) + 0x3F3504F3U);
  // ln m = 2·artanh(s), s = (m − 1) / (m + 1), |s| < 0.172.
  const float s = divide(m - 1.0F, m + 1.0F);
  const float s2 = s * s;
  float series = feaug::detail::fma(s2, 2.0F / 9.0F, 2.0F / 7.0F);
  series = feaug::detail::fma(series, s2, 2.0F / 5.0F);
  series = feaug::detail::fma(series, s2, 2.0F / 3.0F);
  const float tail = series * s2;
  const float ln_m = feaug::detail::fma(s, tail, 2.0F * s);
  return feaug::detail::fma(exponent, 0.693147181F, ln_m);
}

/// eˣ; 0 below −87, infinity above 88.7.
FEAUG_HD inline float exp(float x) {
  if (x < -87.0F) return 0.0F;
  if (x > 88.7F) return INFINITY;
  // x = k·ln 2 + r, |r| ≤ ½ ln 2. ln 2 is split in two parts; the first is short enough that
  // k·ln2_high is exact.
  const float k = std::nearbyint(x * 1.44269504F);
  float r = feaug::detail::fma(k, -0.693359375F, x);
  r = feaug::detail::fma(k, 2.12194440e-4F, r);
  float series = feaug::detail::fma(r, 1.0F / 5040.0F, 1.0F / 720.0F);
  series = feaug::detail::fma(series, r, 1.0F / 120.0F);
  series = feaug::detail::fma(series, r, 1.0F / 24.0F);
  series = feaug::detail::fma(series, r, 1.0F / 6.0F);
  series = feaug::detail::fma(series, r, 0.5F);
  series = feaug::detail::fma(series, r, 1.0F);
  series = feaug::detail::fma(series, r, 1.0F);
  // Two factors, since 2^128 is not a float.
  const auto exponent = static_cast<std::int32_t>(k);
  const std::int32_t half = exponent / 2;
  const float first = detail::bit_cast<float>(static_cast<std::uint32_t>(half + 127) << 23);
  const float second =
      detail::bit_cast<float>(static_cast<std::uint32_t>(exponent - half + 127) << 23);
  // (Both products are exact: the factors are powers of two.)
  return series * first * second;
}

struct sine_cosine {
  float sine;
  float cosine;
};

/// Sine and cosine of word · 2⁻³² of a full turn. The quadrant is taken from the bits, so no
/// floating-point argument reduction is needed.
FEAUG_HD inline sine_cosine of_turn(std::uint32_t word) {
  const std::uint32_t quadrant = (word + 0x20000000U) >> 30;
  const auto rest =
      static_cast<std::int32_t>(word - (quadrant << 30));     // within an eighth of a turn
  const float x = static_cast<float>(rest) * 1.46291808e-9F;  // 2π · 2⁻³²
  const float x2 = x * x;
  float s = feaug::detail::fma(x2, 1.0F / 362880.0F, -1.0F / 5040.0F);
  s = feaug::detail::fma(s, x2, 1.0F / 120.0F);
  s = feaug::detail::fma(s, x2, -1.0F / 6.0F);
  s = s * x2;
  s = feaug::detail::fma(s, x, x);
  float c = feaug::detail::fma(x2, -1.0F / 3628800.0F, 1.0F / 40320.0F);
  c = feaug::detail::fma(c, x2, -1.0F / 720.0F);
  c = feaug::detail::fma(c, x2, 1.0F / 24.0F);
  c = feaug::detail::fma(c, x2, -0.5F);
  c = feaug::detail::fma(c, x2, 1.0F);
  switch (quadrant & 3U) {
    case 0:
      return {s, c};
    case 1:
      return {c, -s};
    case 2:
      return {-s, -c};
    default:
      return {-c, s};
  }
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::exact

#include "feaug/header_end.hpp"
