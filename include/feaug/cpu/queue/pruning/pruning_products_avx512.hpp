// Pruning with AVX-512 VNNI: 64 products of 8 bits an instruction.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
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
/// features of 32 rows; 16 of 32 registers hold sums. More than eight queries at once were not faster.
FEAUG_AVX512 inline void pruning_products_avx512(const pruning_operands& tile,
                                                 std::int32_t* products) {
  constexpr int together = 8;
  for (int begin = 0; begin < pruning_queries; begin += together, products += together * 32) {
    __m512i sums[together][2];
    FEAUG_UNROLL_REGISTERS
    for (int i = 0; i < together; ++i)
      sums[i][0] = sums[i][1] = _mm512_set1_epi32(tile.offsets[begin + i]);
    const std::uint8_t* rows = tile.rows;
    for (index_t first = 0; first < tile.groups; first += pruning_groups) {
      const std::int8_t* queries = tile.queries + pruning_code(first, begin);
      const std::int8_t* const end =
          queries + shadow_group * std::min(pruning_groups, tile.groups - first);
      for (; queries != end; queries += shadow_group, rows += 128) {
        const __m512i low = _mm512_loadu_si512(rows);
        const __m512i high = _mm512_loadu_si512(rows + 64);
        FEAUG_UNROLL_REGISTERS
        for (int i = 0; i < together; ++i) {
          std::int32_t four = 0;
          std::memcpy(&four, queries + pruning_groups * shadow_group * i, sizeof four);
          const __m512i query = _mm512_set1_epi32(four);
          sums[i][0] = _mm512_dpbusd_epi32(sums[i][0], low, query);
          sums[i][1] = _mm512_dpbusd_epi32(sums[i][1], high, query);
        }
      }
    }
    // Stored together and compared in another function; otherwise g++ 12 keeps copies of all sums.
    FEAUG_UNROLL_REGISTERS
    for (int i = 0; i < together; ++i) {
      _mm512_storeu_si512(products + 32 * i, sums[i][0]);
      _mm512_storeu_si512(products + 32 * i + 16, sums[i][1]);
    }
  }
}

/// Like pruning_hits_portable. `AddsOffsets`: the products of a query with a hit get its offset.
template <bool AddsOffsets>
FEAUG_AVX512 inline std::uint32_t pruning_hits_avx512(const std::int32_t* offsets,
                                                      const pruning_bounds& bounds,
                                                      const pruning_results& results) {
  using v = avx512<float>;
  constexpr __mmask16 all = 0xFFFF;
  const v::vector low_scales = v::load(bounds.scales);
  const v::vector high_scales = v::load(bounds.scales + 16);
  alignas(64) float thresholds[pruning_queries];
  v::store(thresholds,
           v::load(bounds.bars) - (v::load(bounds.length_factors) * v::all(bounds.length) +
                                   v::load(bounds.error_factors) * v::all(bounds.error)));
  std::int32_t* products = results.products;
  std::uint32_t queries = 0;
  for (int i = 0; i < pruning_queries; ++i, products += 32) {
    const v::vector threshold = v::all(thresholds[i]);
    __m512i low = _mm512_loadu_si512(products);
    __m512i high = _mm512_loadu_si512(products + 16);
    if constexpr (AddsOffsets) {
      const __m512i offset = _mm512_set1_epi32(offsets[i]);
      low = _mm512_add_epi32(low, offset);
      high = _mm512_add_epi32(high, offset);
    }
    const v::vector low_scores = _mm512_maskz_cvtepi32_ps(all, low) * low_scales;
    const v::vector high_scores = _mm512_maskz_cvtepi32_ps(all, high) * high_scales;
    const std::uint32_t low_hits = v::not_less(low_scores, threshold);
    const std::uint32_t high_hits = v::not_less(high_scores, threshold);
    const std::uint32_t hits = (low_hits | high_hits << 16U) & bounds.filled;
    results.hits[i] = hits;
    if (hits == 0) continue;
    queries |= 1U << i;
    if constexpr (AddsOffsets) {
      _mm512_storeu_si512(products, low);
      _mm512_storeu_si512(products + 16, high);
    }
  }
  return queries;
}

/// Like pruning_maxima_portable.
template <bool AddsOffsets>
FEAUG_AVX512 inline void pruning_maxima_avx512(const std::int32_t* offsets,
                                               const pruning_floors& floors,
                                               const std::int32_t* products, float* maxima) {
  using v = avx512<float>;
  constexpr __mmask16 all = 0xFFFF;
  for (int side = 0; side < shadow_block_rows; side += v::lanes) {
    const v::vector scales = v::load(floors.scales + side);
    const v::vector lengths = v::load(floors.lengths + side);
    const v::vector errors = v::load(floors.errors + side);
    for (int i = 0; i < pruning_queries; ++i) {
      __m512i product = _mm512_loadu_si512(products + 32 * i + side);
      if constexpr (AddsOffsets) product = _mm512_add_epi32(product, _mm512_set1_epi32(offsets[i]));
      const v::vector margin =
          v::all(floors.length_factors[i]) * lengths + v::all(floors.error_factors[i]) * errors;
      const v::vector lower = _mm512_maskz_cvtepi32_ps(all, product) * scales - margin;
      float* const to = maxima + 32 * i + side;
      // The second operand is the result if one is NaN.
      v::store(to, _mm512_maskz_max_ps(all, lower, v::load(to)));
    }
  }
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu
#endif

#include "feaug/header_end.hpp"
