// Pruning with AVX-512 VNNI: 64 products of 8 bits an instruction.
#pragma once

#include "feaug/header_begin.hpp"

#include <cstdint>
#include <cstring>

#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/cpu/core/vectors.hpp"
#include "feaug/cpu/queue/pruning/tile_shape.hpp"
#include "feaug/version.hpp"

#if FEAUG_X86
namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// Like pruning_products_portable. The instruction multiplies unsigned by signed; for this reason
/// rows are stored with 128 added. Limited by these instructions: two for each query and four
/// features of 32 rows; 16 of 32 registers hold sums.
FEAUG_AVX512 inline void pruning_products_avx512(const pruning_operands& tile,
                                                 std::int32_t* products) {
  __m512i sums[pruning_queries][2];
  FEAUG_UNROLL_REGISTERS
  for (int i = 0; i < pruning_queries; ++i)
    sums[i][0] = sums[i][1] = _mm512_set1_epi32(tile.offsets[i]);
  const std::uint8_t* rows = tile.rows;
  const std::int8_t* queries = tile.queries;
  for (index_t group = 0; group < tile.groups;
       ++group, rows += 128, queries += 4 * pruning_queries) {
    const __m512i first = _mm512_loadu_si512(rows);
    const __m512i second = _mm512_loadu_si512(rows + 64);
    FEAUG_UNROLL_REGISTERS
    for (int i = 0; i < pruning_queries; ++i) {
      std::int32_t four = 0;
      std::memcpy(&four, queries + 4 * i, sizeof four);
      const __m512i query = _mm512_set1_epi32(four);
      sums[i][0] = _mm512_dpbusd_epi32(sums[i][0], first, query);
      sums[i][1] = _mm512_dpbusd_epi32(sums[i][1], second, query);
    }
  }
  // Stored together and compared in another function; otherwise g++ 12 keeps copies of all sums.
  FEAUG_UNROLL_REGISTERS
  for (int i = 0; i < pruning_queries; ++i) {
    _mm512_storeu_si512(products + 32 * i, sums[i][0]);
    _mm512_storeu_si512(products + 32 * i + 16, sums[i][1]);
  }
}

/// Like pruning_hits_portable.
FEAUG_AVX512 inline void pruning_hits_avx512(const std::int32_t* products, const float* scales,
                                             const float* thresholds, std::uint32_t* hits) {
  constexpr __mmask16 all = 0xFFFF;
  const __m512 first_scales = _mm512_loadu_ps(scales);
  const __m512 second_scales = _mm512_loadu_ps(scales + 16);
  for (int i = 0; i < pruning_queries; ++i, products += 32) {
    const __m512 threshold = _mm512_set1_ps(thresholds[i]);
    const __m512 first = _mm512_maskz_cvtepi32_ps(all, _mm512_loadu_si512(products));
    const __m512 second = _mm512_maskz_cvtepi32_ps(all, _mm512_loadu_si512(products + 16));
    const std::uint32_t low = avx512<float>::not_less(first * first_scales, threshold);
    const std::uint32_t high = avx512<float>::not_less(second * second_scales, threshold);
    hits[i] = low | high << 16U;
  }
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu
#endif

#include "feaug/header_end.hpp"
