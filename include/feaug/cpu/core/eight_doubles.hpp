// Eight elements of any type as doubles in registers, for each instruction set.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/core/element.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/version.hpp"

#if FEAUG_X86

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

namespace detail {

/// Eight elements as floats; all are exact.
FEAUG_AVX2 FEAUG_INLINE __m256 eight_floats(const float* x) { return _mm256_loadu_ps(x); }
FEAUG_AVX2 FEAUG_INLINE __m256 eight_floats(const half* x) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x)));
}
FEAUG_AVX2 FEAUG_INLINE __m256 eight_floats(const bfloat16* x) {
  const __m256i bits = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x)));
  return _mm256_castsi256_ps(_mm256_slli_epi32(bits, 16));
}

/// The first and the last four of eight floats in double.
FEAUG_AVX2 FEAUG_INLINE __m256d first_four(__m256 x) {
  return _mm256_cvtps_pd(_mm256_castps256_ps128(x));
}
FEAUG_AVX2 FEAUG_INLINE __m256d last_four(__m256 x) {
  return _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1));
}

/// Rounds eight floats to nearest even, as feaug::store does.
FEAUG_AVX2 FEAUG_INLINE void store_eight(float* to, __m256 x) { _mm256_storeu_ps(to, x); }
FEAUG_AVX2 FEAUG_INLINE void store_eight(half* to, __m256 x) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}
// NOLINTBEGIN(readability-magic-numbers): bits of numbers
FEAUG_AVX2 FEAUG_INLINE void store_eight(bfloat16* to, __m256 x) {
  const __m256i bits = _mm256_castps_si256(x);
  const __m256i is_odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_srli_epi32(
      _mm256_add_epi32(bits, _mm256_add_epi32(is_odd, _mm256_set1_epi32(0x7FFF))), 16);
  // A NaN stays one, whatever bits are cut off. Compared as integers, since clang++ 14 would give
  // the user's flags to a comparison of floats.
  const __m256i magnitude = _mm256_and_si256(bits, _mm256_set1_epi32(0x7FFFFFFF));
  const __m256i is_nan = _mm256_cmpgt_epi32(magnitude, _mm256_set1_epi32(0x7F800000));
  const __m256i quiet = _mm256_or_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(0x0040));
  const __m256i each = _mm256_blendv_epi8(rounded, quiet, is_nan);
  const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(each, each), 0x08);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_castsi256_si128(packed));
}
// NOLINTEND(readability-magic-numbers)

}  // namespace detail

/// Eight doubles in two registers.
struct avx2_eight_doubles {
  struct vector {
    __m256d low;
    __m256d high;
  };

  FEAUG_AVX2 FEAUG_INLINE static vector all(double x) {
    return {_mm256_set1_pd(x), _mm256_set1_pd(x)};
  }
  FEAUG_AVX2 FEAUG_INLINE static vector from_floats(__m256 x) {
    return {detail::first_four(x), detail::last_four(x)};
  }
  template <element T>
  FEAUG_AVX2 FEAUG_INLINE static vector load(const T* x) {
    return from_floats(detail::eight_floats(x));
  }
  FEAUG_AVX2 FEAUG_INLINE static vector load(const double* x) {
    return {_mm256_loadu_pd(x), _mm256_loadu_pd(x + 4)};
  }
  FEAUG_AVX2 FEAUG_INLINE static void store(double* to, vector x) {
    _mm256_storeu_pd(to, x.low);
    _mm256_storeu_pd(to + 4, x.high);
  }
  /// Rounded to float.
  FEAUG_AVX2 FEAUG_INLINE static __m256 to_floats(vector x) {
    return _mm256_set_m128(_mm256_cvtpd_ps(x.high), _mm256_cvtpd_ps(x.low));
  }
  FEAUG_AVX2 FEAUG_INLINE static void store(float* to, vector x) {
    _mm256_storeu_ps(to, to_floats(x));
  }
  FEAUG_AVX2 FEAUG_INLINE static vector add(vector a, vector b) {
    return {a.low + b.low, a.high + b.high};
  }
  FEAUG_AVX2 FEAUG_INLINE static vector multiply(vector a, vector b) {
    return {a.low * b.low, a.high * b.high};
  }
  /// a·b + c
  FEAUG_AVX2 FEAUG_INLINE static vector fused(vector a, vector b, vector c) {
    return {_mm256_fmadd_pd(a.low, b.low, c.low), _mm256_fmadd_pd(a.high, b.high, c.high)};
  }
};

/// Eight doubles in one register.
struct avx512_eight_doubles {
  using vector = __m512d;

  FEAUG_AVX512 FEAUG_INLINE static vector all(double x) { return _mm512_set1_pd(x); }
  FEAUG_AVX512 FEAUG_INLINE static vector from_floats(__m256 x) {
    return _mm512_maskz_cvtps_pd(every, x);
  }
  template <element T>
  FEAUG_AVX512 FEAUG_INLINE static vector load(const T* x) {
    return from_floats(detail::eight_floats(x));
  }
  FEAUG_AVX512 FEAUG_INLINE static vector load(const double* x) { return _mm512_loadu_pd(x); }
  FEAUG_AVX512 FEAUG_INLINE static void store(double* to, vector x) { _mm512_storeu_pd(to, x); }
  /// Rounded to float.
  FEAUG_AVX512 FEAUG_INLINE static __m256 to_floats(vector x) {
    return _mm512_maskz_cvtpd_ps(every, x);
  }
  FEAUG_AVX512 FEAUG_INLINE static void store(float* to, vector x) {
    _mm256_storeu_ps(to, to_floats(x));
  }
  FEAUG_AVX512 FEAUG_INLINE static vector add(vector a, vector b) { return a + b; }
  FEAUG_AVX512 FEAUG_INLINE static vector multiply(vector a, vector b) { return a * b; }
  /// a·b + c
  FEAUG_AVX512 FEAUG_INLINE static vector fused(vector a, vector b, vector c) {
    return _mm512_fmadd_pd(a, b, c);
  }

 private:
  // GCC 12 warns that intrinsics without a mask read uninitialised values (GCC bug 105593).
  static constexpr __mmask8 every = 0xFF;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#endif

#include "feaug/header_end.hpp"
