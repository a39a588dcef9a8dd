// The loops of the machine ceilings for AVX-512 and AVX2; portable versions elsewhere.
#include "machine/ceilings.hpp"

#include <algorithm>
#include <cstddef>

#include "feaug/cpu/core/instruction_set.hpp"

namespace bench::ceiling {
namespace {

/// Halves the sums in each round, so that they stay normal numbers.
constexpr float factor = 0.5F;
constexpr int chains = 12;
constexpr int lanes = 16;

float portable_fma(std::int64_t rounds) {
  float sums[chains * lanes] = {};
  for (std::int64_t r = 0; r < rounds; ++r)
    for (float& sum : sums) sum = sum * factor + 1.0F;
  return *std::max_element(sums, sums + chains * lanes);
}

#if FEAUG_X86

FEAUG_AVX512 float avx512_fma(std::int64_t rounds) {
  __m512 sums[chains];
  for (__m512& sum : sums) sum = _mm512_setzero_ps();
  const __m512 by = _mm512_set1_ps(factor);
  const __m512 one = _mm512_set1_ps(1.0F);
  for (std::int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 12
    for (__m512& sum : sums) sum = _mm512_fmadd_ps(sum, by, one);
  }
  float out[lanes] = {};
  for (__m512& sum : sums) _mm512_storeu_ps(out, _mm512_add_ps(_mm512_loadu_ps(out), sum));
  return out[0];
}

/// A 256-bit register holds half of a round's 16 floats: the same 12 chains, twice as many rounds.
FEAUG_AVX2 float avx2_fma(std::int64_t rounds) {
  __m256 sums[chains];
  for (__m256& sum : sums) sum = _mm256_setzero_ps();
  const __m256 by = _mm256_set1_ps(factor);
  const __m256 one = _mm256_set1_ps(1.0F);
  for (std::int64_t r = 0; r < 2 * rounds; ++r) {
#pragma GCC unroll 12
    for (__m256& sum : sums) sum = _mm256_fmadd_ps(sum, by, one);
  }
  float out[lanes / 2] = {};
  for (__m256& sum : sums) _mm256_storeu_ps(out, _mm256_add_ps(_mm256_loadu_ps(out), sum));
  return out[0];
}

FEAUG_AVX512 std::int32_t avx512_int8_dot(std::int64_t rounds) {
  __m512i sums[chains];
  for (__m512i& sum : sums) sum = _mm512_setzero_si512();
  const __m512i a = _mm512_set1_epi8(3);
  const __m512i b = _mm512_set1_epi8(-2);
  for (std::int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 12
    for (__m512i& sum : sums) sum = _mm512_dpbusd_epi32(sum, a, b);
  }
  std::int32_t out[lanes] = {};
  for (__m512i& sum : sums)
    _mm512_storeu_si512(out, _mm512_add_epi32(_mm512_loadu_si512(out), sum));
  return out[0];
}

FEAUG_AVX512 void avx512_copy(const float* from, float* to, std::int64_t count) {
  for (std::int64_t i = 0; i < count; i += lanes)
    _mm512_stream_ps(to + i, _mm512_loadu_ps(from + i));
  _mm_sfence();
}

FEAUG_AVX2 void avx2_copy(const float* from, float* to, std::int64_t count) {
  for (std::int64_t i = 0; i < count; i += lanes / 2)
    _mm256_stream_ps(to + i, _mm256_loadu_ps(from + i));
  _mm_sfence();
}

#endif

}  // namespace

float fma(std::int64_t rounds) {
#if FEAUG_X86
  if (feaug::best_instruction_set() >= feaug::instruction_set::avx512) return avx512_fma(rounds);
  if (feaug::best_instruction_set() == feaug::instruction_set::avx2) return avx2_fma(rounds);
#endif
  return portable_fma(rounds);
}

bool has_int8() { return feaug::best_instruction_set() >= feaug::instruction_set::avx512; }

std::int32_t int8_dot([[maybe_unused]] std::int64_t rounds) {
#if FEAUG_X86
  if (has_int8()) return avx512_int8_dot(rounds);
#endif
  return 0;
}

void copy(const float* from, float* to, std::int64_t count) {
#if FEAUG_X86
  if (feaug::best_instruction_set() >= feaug::instruction_set::avx512)
    return avx512_copy(from, to, count);
  if (feaug::best_instruction_set() == feaug::instruction_set::avx2)
    return avx2_copy(from, to, count);
#endif
  std::copy_n(from, count, to);
}

}  // namespace bench::ceiling
