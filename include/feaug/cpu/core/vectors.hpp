// Vectors of floats and doubles for each instruction set, used to write the CPU kernels.
#pragma once

#include "feaug/header_begin.hpp"

#include <cstdint>

#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/version.hpp"

#if FEAUG_X86
// Unrolls loops over registers at any optimisation level; otherwise the arrays would be in memory.
#if defined(__CUDACC__)
#define FEAUG_UNROLL_REGISTERS  // nvcc and its host compiler need different spellings
#elif defined(__clang__)
#define FEAUG_UNROLL_REGISTERS _Pragma("unroll")
#else
#define FEAUG_UNROLL_REGISTERS _Pragma("GCC unroll 16")
#endif

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

namespace detail {

/// The sum of a register's stored lanes, in their order.
template <std::size_t Lanes>
double sum_of_lanes(const float (&lanes)[Lanes]) {
  double sum = 0;
  for (const float lane : lanes) sum += static_cast<double>(lane);
  return sum;
}

}  // namespace detail

template <class C>
struct avx2;
template <class C>
struct avx512;

// NOLINTBEGIN(readability-magic-numbers): coefficients of series, bits of numbers
template <>
struct avx2<float> {
  using vector = __m256;
  static constexpr int lanes = 8;

  FEAUG_AVX2 FEAUG_INLINE static vector zero() { return _mm256_setzero_ps(); }
  FEAUG_AVX2 FEAUG_INLINE static vector all(float x) { return _mm256_set1_ps(x); }
  FEAUG_AVX2 FEAUG_INLINE static vector load(const float* x) { return _mm256_loadu_ps(x); }
  FEAUG_AVX2 FEAUG_INLINE static void store(float* to, vector x) { _mm256_storeu_ps(to, x); }
  /// Non-temporal store; `to` is aligned to the vector's size.
  FEAUG_AVX2 FEAUG_INLINE static void stream(float* to, vector x) { _mm256_stream_ps(to, x); }
  FEAUG_AVX2 FEAUG_INLINE static vector add(vector a, vector b) { return a + b; }
  FEAUG_AVX2 FEAUG_INLINE static vector multiply(vector a, vector b) { return a * b; }
  /// a·b + c
  FEAUG_AVX2 FEAUG_INLINE static vector fused(vector a, vector b, vector c) {
    return _mm256_fmadd_ps(a, b, c);
  }

  /// All bits of the lanes in which not a < b: also those with NaN. clang++ 14 gives the user's flags
  /// to the intrinsic, in spite of the pragma in header_begin.hpp; with -ffinite-math-only or
  /// -fno-honor-nans, NaN would then be less.
  FEAUG_AVX2 FEAUG_INLINE static vector not_less(vector a, vector b) {
#if defined(__clang__)
    vector result;
    __asm__("vcmpnltps %2, %1, %0" : "=x"(result) : "x"(a), "x"(b));
    return result;
#else
    return _mm256_cmp_ps(a, b, _CMP_NLT_UQ);
#endif
  }

  /// −|x|
  FEAUG_AVX2 FEAUG_INLINE static vector negative_size(vector x) {
    return _mm256_castsi256_ps(
        _mm256_or_si256(_mm256_castps_si256(x), _mm256_set1_epi32(INT32_MIN)));
  }
  /// a where x has its sign bit set, else b.
  FEAUG_AVX2 FEAUG_INLINE static vector where_negative(vector x, vector a, vector b) {
    return _mm256_blendv_ps(b, a, x);
  }

  /// The sum of the lanes, in double.
  FEAUG_AVX2 FEAUG_INLINE static double sum(vector x) {
    float stored[lanes];
    store(stored, x);
    return detail::sum_of_lanes(stored);
  }

  /// Like fast_exp, up to rounding.
  FEAUG_AVX2 FEAUG_INLINE static vector exponential(vector x) {
    const vector is_normal = not_less(x, all(-87.0F));
    // This order of operands keeps NaN.
    const vector clamped = _mm256_max_ps(all(-87.0F), _mm256_min_ps(all(88.0F), x));
    const vector to_integer = all(12582912.0F);
    const vector shifted = fused(clamped, all(1.44269504F), to_integer);
    const vector k = shifted - to_integer;
    vector r = fused(k, all(-0.693359375F), clamped);
    r = fused(k, all(2.12194440e-4F), r);
    vector series = all(1.0F / 5040.0F);
    series = fused(series, r, all(1.0F / 720.0F));
    series = fused(series, r, all(1.0F / 120.0F));
    series = fused(series, r, all(1.0F / 24.0F));
    series = fused(series, r, all(1.0F / 6.0F));
    series = fused(series, r, all(0.5F));
    series = fused(series, r, all(1.0F));
    series = fused(series, r, all(1.0F));
    const __m256i power = _mm256_add_epi32(_mm256_slli_epi32(_mm256_castps_si256(shifted), 23),
                                           _mm256_set1_epi32(0x3F800000));
    return _mm256_and_ps(is_normal, multiply(series, _mm256_castsi256_ps(power)));
  }
};

template <>
struct avx2<double> {
  using vector = __m256d;
  static constexpr int lanes = 4;

  FEAUG_AVX2 FEAUG_INLINE static vector zero() { return _mm256_setzero_pd(); }
  FEAUG_AVX2 FEAUG_INLINE static vector all(double x) { return _mm256_set1_pd(x); }
  FEAUG_AVX2 FEAUG_INLINE static vector load(const double* x) { return _mm256_loadu_pd(x); }
  FEAUG_AVX2 FEAUG_INLINE static void store(double* to, vector x) { _mm256_storeu_pd(to, x); }
  FEAUG_AVX2 FEAUG_INLINE static vector fused(vector a, vector b, vector c) {
    return _mm256_fmadd_pd(a, b, c);
  }

  FEAUG_AVX2 FEAUG_INLINE static vector not_less(vector a, vector b) {
#if defined(__clang__)
    vector result;
    __asm__("vcmpnltpd %2, %1, %0" : "=x"(result) : "x"(a), "x"(b));
    return result;
#else
    return _mm256_cmp_pd(a, b, _CMP_NLT_UQ);
#endif
  }
};

template <>
struct avx512<float> {
  using vector = __m512;
  static constexpr int lanes = 16;

  FEAUG_AVX512 FEAUG_INLINE static vector zero() { return _mm512_setzero_ps(); }
  FEAUG_AVX512 FEAUG_INLINE static vector all(float x) { return _mm512_set1_ps(x); }
  FEAUG_AVX512 FEAUG_INLINE static vector load(const float* x) { return _mm512_loadu_ps(x); }
  FEAUG_AVX512 FEAUG_INLINE static void store(float* to, vector x) { _mm512_storeu_ps(to, x); }
  /// Non-temporal store; `to` is aligned to the vector's size.
  FEAUG_AVX512 FEAUG_INLINE static void stream(float* to, vector x) { _mm512_stream_ps(to, x); }
  FEAUG_AVX512 FEAUG_INLINE static vector add(vector a, vector b) { return a + b; }
  FEAUG_AVX512 FEAUG_INLINE static vector multiply(vector a, vector b) { return a * b; }
  FEAUG_AVX512 FEAUG_INLINE static vector fused(vector a, vector b, vector c) {
    return _mm512_fmadd_ps(a, b, c);
  }

  /// A bit for each lane: whether not a < b.
  FEAUG_AVX512 FEAUG_INLINE static __mmask16 not_less(vector a, vector b) {
#if defined(__clang__)
    __mmask16 result = 0;
    __asm__("vcmpnltps %2, %1, %0" : "=Yk"(result) : "v"(a), "v"(b));
    return result;
#else
    return _mm512_cmp_ps_mask(a, b, _CMP_NLT_UQ);
#endif
  }

  FEAUG_AVX512 FEAUG_INLINE static vector negative_size(vector x) {
    return _mm512_castsi512_ps(
        _mm512_or_si512(_mm512_castps_si512(x), _mm512_set1_epi32(INT32_MIN)));
  }
  FEAUG_AVX512 FEAUG_INLINE static vector where_negative(vector x, vector a, vector b) {
    return _mm512_mask_blend_ps(_mm512_movepi32_mask(_mm512_castps_si512(x)), b, a);
  }

  /// The sum of the lanes, in double.
  FEAUG_AVX512 FEAUG_INLINE static double sum(vector x) {
    float stored[lanes];
    store(stored, x);
    return detail::sum_of_lanes(stored);
  }

  FEAUG_AVX512 FEAUG_INLINE static vector exponential(vector x) {
    const __mmask16 is_normal = not_less(x, all(-87.0F));
    const vector low = _mm512_maskz_min_ps(every, all(88.0F), x);
    const vector to_integer = all(12582912.0F);
    const vector k = fused(low, all(1.44269504F), to_integer) - to_integer;
    vector r = fused(k, all(-0.693359375F), low);
    r = fused(k, all(2.12194440e-4F), r);
    vector series = all(1.0F / 5040.0F);
    series = fused(series, r, all(1.0F / 720.0F));
    series = fused(series, r, all(1.0F / 120.0F));
    series = fused(series, r, all(1.0F / 24.0F));
    series = fused(series, r, all(1.0F / 6.0F));
    series = fused(series, r, all(0.5F));
    series = fused(series, r, all(1.0F));
    series = fused(series, r, all(1.0F));
    return _mm512_maskz_scalef_ps(is_normal, series, k);
  }

 private:
  // GCC 12 warns that intrinsics without a mask read uninitialised values (GCC bug 105593).
  static constexpr __mmask16 every = 0xFFFF;
};

template <>
struct avx512<double> {
  using vector = __m512d;
  static constexpr int lanes = 8;

  FEAUG_AVX512 FEAUG_INLINE static vector zero() { return _mm512_setzero_pd(); }
  FEAUG_AVX512 FEAUG_INLINE static vector all(double x) { return _mm512_set1_pd(x); }
  FEAUG_AVX512 FEAUG_INLINE static vector load(const double* x) { return _mm512_loadu_pd(x); }
  FEAUG_AVX512 FEAUG_INLINE static void store(double* to, vector x) { _mm512_storeu_pd(to, x); }
  FEAUG_AVX512 FEAUG_INLINE static vector fused(vector a, vector b, vector c) {
    return _mm512_fmadd_pd(a, b, c);
  }

  FEAUG_AVX512 FEAUG_INLINE static __mmask8 not_less(vector a, vector b) {
#if defined(__clang__)
    __mmask8 result = 0;
    __asm__("vcmpnltpd %2, %1, %0" : "=Yk"(result) : "v"(a), "v"(b));
    return result;
#else
    return _mm512_cmp_pd_mask(a, b, _CMP_NLT_UQ);
#endif
  }
};
// NOLINTEND(readability-magic-numbers)

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu
#endif

#include "feaug/header_end.hpp"
