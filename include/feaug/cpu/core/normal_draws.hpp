// normal_from_words for vectors of words: the same operations in the same order, bit-identical.
// Limited by arithmetic.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/core/random_normal.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/cpu/core/philox.hpp"
#include "feaug/version.hpp"

#if FEAUG_X86

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu::detail {

// The differences to exact::log, exact::of_turn and positive_uniform_from_word are exact:
// - word + 1 is not divided by 2³²; 32 is subtracted from its exponent instead.
// - The angle within a quadrant is word · 4, which has the correct sign as a signed integer.
// - The two highest bits of t are the quadrant: the sine is negative in the second half of the
// turn. Those of t + 2³⁰ give the sign of the cosine, negative in the second and third quarter.
inline constexpr int root_half_bits = 0x3F3504F3;
inline constexpr int scaled_root_half_bits = root_half_bits + (32 << 23);
inline constexpr float quarter_word_angle = 1.46291808e-9F / 4;

// Exact under any flags: clang++ 14 approximates the intrinsic if the user's flags allow it.
#if defined(__clang__) && !defined(__CUDACC__)
FEAUG_AVX2 FEAUG_INLINE __m256 square_root(__m256 x) {
  __asm__("vsqrtps %0, %0" : "+x"(x));
  return x;
}
FEAUG_AVX512 FEAUG_INLINE __m512 square_root(__m512 x) {
  __asm__("vsqrtps %0, %0" : "+v"(x));
  return x;
}
#else
FEAUG_AVX2 FEAUG_INLINE __m256 square_root(__m256 x) { return _mm256_sqrt_ps(x); }
FEAUG_AVX512 FEAUG_INLINE __m512 square_root(__m512 x) {
  constexpr __mmask16 all_lanes = 0xFFFF;  // g++ 12 warns about the intrinsic without a mask
  return _mm512_maskz_sqrt_ps(all_lanes, x);
}
#endif

/// word + 1 as a float, rounded once: its 16-bit halves are exact, and so is high · 2¹⁶.
FEAUG_AVX2 FEAUG_INLINE __m256 word_plus_one(__m256i word) {
  const __m256i next = _mm256_add_epi32(word, _mm256_set1_epi32(1));
  const __m256 high = _mm256_cvtepi32_ps(_mm256_srli_epi32(next, 16));
  const __m256 low = _mm256_cvtepi32_ps(_mm256_and_si256(next, _mm256_set1_epi32(0xFFFF)));
  const __m256 value = _mm256_fmadd_ps(high, _mm256_set1_ps(0x1p16F), low);
  const __m256i is_last = _mm256_cmpeq_epi32(next, _mm256_setzero_si256());
  return _mm256_blendv_ps(value, _mm256_set1_ps(0x1p32F), _mm256_castsi256_ps(is_last));
}

FEAUG_AVX2 FEAUG_INLINE void normals_from_words(__m256i radius_word, __m256i angle_word,
                                                __m256i& even, __m256i& odd) {
  const __m256 one = _mm256_set1_ps(1.0F);
  const __m256i offset = _mm256_sub_epi32(_mm256_castps_si256(word_plus_one(radius_word)),
                                          _mm256_set1_epi32(scaled_root_half_bits));
  const __m256 exponent = _mm256_cvtepi32_ps(_mm256_srai_epi32(offset, 23));
  const __m256 m = _mm256_castsi256_ps(_mm256_add_epi32(
      _mm256_and_si256(offset, _mm256_set1_epi32(0x007FFFFF)), _mm256_set1_epi32(root_half_bits)));
  const __m256 s = (m - one) / (m + one);
  const __m256 s2 = s * s;
  __m256 series = _mm256_fmadd_ps(s2, _mm256_set1_ps(2.0F / 9.0F), _mm256_set1_ps(2.0F / 7.0F));
  series = _mm256_fmadd_ps(series, s2, _mm256_set1_ps(2.0F / 5.0F));
  series = _mm256_fmadd_ps(series, s2, _mm256_set1_ps(2.0F / 3.0F));
  const __m256 ln_m = _mm256_fmadd_ps(s, series * s2, s + s);
  const __m256 log = _mm256_fmadd_ps(exponent, _mm256_set1_ps(0.693147181F), ln_m);
  const __m256 radius = square_root(_mm256_set1_ps(-2.0F) * log);

  const __m256 x =
      _mm256_cvtepi32_ps(_mm256_slli_epi32(angle_word, 2)) * _mm256_set1_ps(quarter_word_angle);
  const __m256 x2 = x * x;
  __m256 sine =
      _mm256_fmadd_ps(x2, _mm256_set1_ps(1.0F / 362880.0F), _mm256_set1_ps(-1.0F / 5040.0F));
  sine = _mm256_fmadd_ps(sine, x2, _mm256_set1_ps(1.0F / 120.0F));
  sine = _mm256_fmadd_ps(sine, x2, _mm256_set1_ps(-1.0F / 6.0F));
  sine = _mm256_fmadd_ps(sine * x2, x, x);
  __m256 cosine =
      _mm256_fmadd_ps(x2, _mm256_set1_ps(-1.0F / 3628800.0F), _mm256_set1_ps(1.0F / 40320.0F));
  cosine = _mm256_fmadd_ps(cosine, x2, _mm256_set1_ps(-1.0F / 720.0F));
  cosine = _mm256_fmadd_ps(cosine, x2, _mm256_set1_ps(1.0F / 24.0F));
  cosine = _mm256_fmadd_ps(cosine, x2, _mm256_set1_ps(-0.5F));
  cosine = _mm256_fmadd_ps(cosine, x2, one);

  const __m256i t = _mm256_add_epi32(angle_word, _mm256_set1_epi32(0x20000000));
  const __m256i t_later = _mm256_add_epi32(angle_word, _mm256_set1_epi32(0x60000000));
  const __m256 sign = _mm256_set1_ps(-0.0F);
  const __m256 swapped = _mm256_castsi256_ps(_mm256_slli_epi32(t, 1));
  const __m256 of_sine = _mm256_xor_ps(_mm256_blendv_ps(sine, cosine, swapped),
                                       _mm256_and_ps(_mm256_castsi256_ps(t), sign));
  const __m256 of_cosine = _mm256_xor_ps(_mm256_blendv_ps(cosine, sine, swapped),
                                         _mm256_and_ps(_mm256_castsi256_ps(t_later), sign));
  even = _mm256_castps_si256(radius * of_cosine);
  odd = _mm256_castps_si256(radius * of_sine);
}

FEAUG_AVX512 FEAUG_INLINE __m512 to_float(__m512i integers) {
  return _mm512_maskz_cvtepi32_ps(philox::all_32, integers);
}

FEAUG_AVX512 FEAUG_INLINE void normals_from_words(__m512i radius_word, __m512i angle_word,
                                                  __m512i& even, __m512i& odd) {
  using philox::all_32;
  const __m512 one = _mm512_set1_ps(1.0F);
  const __m512i next = _mm512_add_epi32(radius_word, _mm512_set1_epi32(1));
  const __m512 word_plus_one =
      _mm512_mask_cvtepu32_ps(_mm512_set1_ps(0x1p32F), _mm512_test_epi32_mask(next, next), next);
  const __m512i offset = _mm512_sub_epi32(_mm512_castps_si512(word_plus_one),
                                          _mm512_set1_epi32(scaled_root_half_bits));
  const __m512 exponent = to_float(_mm512_maskz_srai_epi32(all_32, offset, 23));
  const __m512 m = _mm512_castsi512_ps(_mm512_add_epi32(
      _mm512_and_si512(offset, _mm512_set1_epi32(0x007FFFFF)), _mm512_set1_epi32(root_half_bits)));
  const __m512 s = (m - one) / (m + one);
  const __m512 s2 = s * s;
  __m512 series = _mm512_fmadd_ps(s2, _mm512_set1_ps(2.0F / 9.0F), _mm512_set1_ps(2.0F / 7.0F));
  series = _mm512_fmadd_ps(series, s2, _mm512_set1_ps(2.0F / 5.0F));
  series = _mm512_fmadd_ps(series, s2, _mm512_set1_ps(2.0F / 3.0F));
  const __m512 ln_m = _mm512_fmadd_ps(s, series * s2, s + s);
  const __m512 log = _mm512_fmadd_ps(exponent, _mm512_set1_ps(0.693147181F), ln_m);
  const __m512 radius = square_root(_mm512_set1_ps(-2.0F) * log);

  const __m512 x =
      to_float(_mm512_maskz_slli_epi32(all_32, angle_word, 2)) * _mm512_set1_ps(quarter_word_angle);
  const __m512 x2 = x * x;
  __m512 sine =
      _mm512_fmadd_ps(x2, _mm512_set1_ps(1.0F / 362880.0F), _mm512_set1_ps(-1.0F / 5040.0F));
  sine = _mm512_fmadd_ps(sine, x2, _mm512_set1_ps(1.0F / 120.0F));
  sine = _mm512_fmadd_ps(sine, x2, _mm512_set1_ps(-1.0F / 6.0F));
  sine = _mm512_fmadd_ps(sine * x2, x, x);
  __m512 cosine =
      _mm512_fmadd_ps(x2, _mm512_set1_ps(-1.0F / 3628800.0F), _mm512_set1_ps(1.0F / 40320.0F));
  cosine = _mm512_fmadd_ps(cosine, x2, _mm512_set1_ps(-1.0F / 720.0F));
  cosine = _mm512_fmadd_ps(cosine, x2, _mm512_set1_ps(1.0F / 24.0F));
  cosine = _mm512_fmadd_ps(cosine, x2, _mm512_set1_ps(-0.5F));
  cosine = _mm512_fmadd_ps(cosine, x2, one);

  const __m512i t = _mm512_add_epi32(angle_word, _mm512_set1_epi32(0x20000000));
  const __m512i t_later = _mm512_add_epi32(angle_word, _mm512_set1_epi32(0x60000000));
  const __mmask16 swapped = _mm512_test_epi32_mask(t, _mm512_set1_epi32(0x40000000));
  const __m512i sign = _mm512_castps_si512(_mm512_set1_ps(-0.0F));
  // 0x78: first operand xor (second and third).
  const __m512i of_sine = _mm512_maskz_ternarylogic_epi32(
      all_32, _mm512_castps_si512(_mm512_mask_blend_ps(swapped, sine, cosine)), t, sign, 0x78);
  const __m512i of_cosine = _mm512_maskz_ternarylogic_epi32(
      all_32, _mm512_castps_si512(_mm512_mask_blend_ps(swapped, cosine, sine)), t_later, sign,
      0x78);
  even = _mm512_castps_si512(radius * _mm512_castsi512_ps(of_cosine));
  odd = _mm512_castps_si512(radius * _mm512_castsi512_ps(of_sine));
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu::detail

#endif

#include "feaug/header_end.hpp"
