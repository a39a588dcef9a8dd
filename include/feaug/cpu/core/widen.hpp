// Rows of any element type in double.
#pragma once

#include "feaug/header_begin.hpp"

#include <concepts>

#include "feaug/core/element.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

namespace detail {

#if FEAUG_X86

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

/// Returns the number of converted elements: whole vectors.
template <element T>
FEAUG_AVX2 inline index_t widen_avx2(const T* from, index_t count, double* to) {
  index_t j = 0;
  for (; j + 8 <= count; j += 8) {
    const __m256 x = eight_floats(from + j);
    _mm256_storeu_pd(to + j, first_four(x));
    _mm256_storeu_pd(to + j + 4, last_four(x));
  }
  return j;
}

#endif

}  // namespace detail

/// to[j] = from[j] for j < count; exact.
template <element T>
requires(!std::same_as<T, double>) void widen([[maybe_unused]] instruction_set instructions,
                                              const T* from, index_t count, double* to) {
  index_t j = 0;
#if FEAUG_X86
  if (instructions != instruction_set::portable) j = detail::widen_avx2(from, count, to);
#endif
  for (; j < count; ++j) to[j] = static_cast<double>(load(from[j]));
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
