// A transpose in registers.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/cpu/core/vectors.hpp"
#include "feaug/version.hpp"

#if FEAUG_X86
namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu::detail {

/// x[k][r] = x[r][k]: unpack, shuffle, 128-bit permute.
// NOLINTBEGIN(readability-magic-numbers): lanes of shuffles
FEAUG_AVX2 FEAUG_INLINE void transpose_eight(__m256 (&x)[8]) {
  __m256 pair[8];
  FEAUG_UNROLL_REGISTERS
  for (int r = 0; r < 8; r += 2) {
    pair[r] = _mm256_unpacklo_ps(x[r], x[r + 1]);
    pair[r + 1] = _mm256_unpackhi_ps(x[r], x[r + 1]);
  }
  __m256 quarter[8];
  FEAUG_UNROLL_REGISTERS
  for (int r = 0; r < 8; r += 4) {
    quarter[r] = _mm256_shuffle_ps(pair[r], pair[r + 2], 0x44);
    quarter[r + 1] = _mm256_shuffle_ps(pair[r], pair[r + 2], 0xEE);
    quarter[r + 2] = _mm256_shuffle_ps(pair[r + 1], pair[r + 3], 0x44);
    quarter[r + 3] = _mm256_shuffle_ps(pair[r + 1], pair[r + 3], 0xEE);
  }
  FEAUG_UNROLL_REGISTERS
  for (int r = 0; r < 4; ++r) {
    x[r] = _mm256_permute2f128_ps(quarter[r], quarter[r + 4], 0x20);
    x[r + 4] = _mm256_permute2f128_ps(quarter[r], quarter[r + 4], 0x31);
  }
}
// NOLINTEND(readability-magic-numbers)

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu::detail
#endif

#include "feaug/header_end.hpp"
