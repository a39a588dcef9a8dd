// Pruning with AVX2: 32 products of 8 bits in three instructions.
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

/// Like pruning_products_portable, for row codes 1 … 255. Other codes occur only in unfilled
/// slots and in rows with scale 0, where the product does not matter. Limited by the
/// multiplications: per four features, 8 rows and query a sign, a maddubs, a madd and an add; 8 of
/// 16 registers hold sums.
///
/// maddubs multiplies unsigned by signed and saturates sums of two products at 16 bits. The query's
/// sign is therefore moved to the row: |query| · ±row sums to at most 2 · 127 · 127 = 32258.
FEAUG_AVX2 inline void pruning_products_avx2(const pruning_operands& tile, std::int32_t* products) {
  constexpr int together = 2;  // queries × 4 registers of 8 rows
  const __m256i sign_bit = _mm256_set1_epi8(static_cast<char>(0x80));
  const __m256i ones = _mm256_set1_epi16(1);
  for (int begin = 0; begin < pruning_queries; begin += together) {
    __m256i sums[together][4];
    for (auto& of_query : sums) {
      for (__m256i& sum : of_query) sum = _mm256_setzero_si256();
    }
    const std::uint8_t* rows = tile.rows;
    for (index_t group = 0; group < tile.groups; ++group, rows += 128) {
      std::int32_t four[together];
      for (int i = 0; i < together; ++i)
        std::memcpy(four + i, tile.queries + pruning_code(group, begin + i), sizeof four[i]);
      const __m256i query[together] = {_mm256_set1_epi32(four[0]), _mm256_set1_epi32(four[1])};
      const __m256i magnitude[together] = {_mm256_abs_epi8(query[0]), _mm256_abs_epi8(query[1])};
      FEAUG_UNROLL_REGISTERS
      for (int part = 0; part < 4; ++part) {
        const __m256i row = _mm256_xor_si256(
            _mm256_loadu_si256(reinterpret_cast<const __m256i*>(rows + 32 * part)), sign_bit);
        FEAUG_UNROLL_REGISTERS
        for (int i = 0; i < together; ++i) {
          const __m256i pairs = _mm256_maddubs_epi16(magnitude[i], _mm256_sign_epi8(row, query[i]));
          sums[i][part] = _mm256_add_epi32(sums[i][part], _mm256_madd_epi16(pairs, ones));
        }
      }
    }
    for (int i = 0; i < together; ++i) {
      for (int part = 0; part < 4; ++part) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(products + 32 * (begin + i) + 8 * part),
                            sums[i][part]);
      }
    }
  }
}

/// Like pruning_hits_portable.
FEAUG_AVX2 inline std::uint32_t pruning_hits_avx2(const pruning_bounds& bounds,
                                                  const pruning_results& results) {
  using v = avx2<float>;
  float thresholds[pruning_queries];
  for (int i = 0; i < pruning_queries; i += v::lanes) {
    v::store(thresholds + i, v::load(bounds.bars + i) -
                                 (v::load(bounds.length_factors + i) * v::all(bounds.length) +
                                  v::load(bounds.error_factors + i) * v::all(bounds.error)));
  }
  const std::int32_t* products = results.products;
  std::uint32_t queries = 0;
  for (int i = 0; i < pruning_queries; ++i, products += 32) {
    const v::vector threshold = v::all(thresholds[i]);
    std::uint32_t hits = 0;
    for (int part = 0; part < 4; ++part) {
      const __m256i eight =
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(products + 8 * part));
      const v::vector scores = _mm256_cvtepi32_ps(eight) * v::load(bounds.scales + 8 * part);
      const int mask = _mm256_movemask_ps(v::not_less(scores, threshold));
      hits |= static_cast<std::uint32_t>(mask) << static_cast<unsigned>(8 * part);
    }
    results.hits[i] = hits & bounds.filled;
    queries |= (results.hits[i] == 0 ? 0U : 1U) << i;
  }
  return queries;
}

/// Like pruning_maxima_portable.
FEAUG_AVX2 inline void pruning_maxima_avx2(const pruning_floors& floors,
                                           const std::int32_t* products, float* maxima) {
  using v = avx2<float>;
  for (int side = 0; side < shadow_block_rows; side += v::lanes) {
    const v::vector scales = v::load(floors.scales + side);
    const v::vector lengths = v::load(floors.lengths + side);
    const v::vector errors = v::load(floors.errors + side);
    for (int i = 0; i < pruning_queries; ++i) {
      const __m256i product =
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(products + 32 * i + side));
      const v::vector margin =
          v::all(floors.length_factors[i]) * lengths + v::all(floors.error_factors[i]) * errors;
      const v::vector lower = _mm256_cvtepi32_ps(product) * scales - margin;
      float* const to = maxima + 32 * i + side;
      // The second operand is the result if one is NaN.
      v::store(to, _mm256_max_ps(lower, v::load(to)));
    }
  }
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu
#endif

#include "feaug/header_end.hpp"
