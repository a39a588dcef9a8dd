// Products of a tile of 8-bit queries with a block of 8-bit rows, and the rows that they cannot
// exclude.
#pragma once

#include "feaug/header_begin.hpp"

#include <cstdint>

#include "feaug/core/finite.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/cpu/queue/pruning/pruning_products_avx2.hpp"
#include "feaug/cpu/queue/pruning/pruning_products_avx512.hpp"
#include "feaug/cpu/queue/pruning/tile_shape.hpp"
#include "feaug/queue/queue_shadow.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// products[query · 32 + row] = Σ query code · (row code − 128), exact.
inline void pruning_products_portable(const pruning_operands& tile, std::int32_t* products) {
  for (index_t i = 0; i < pruning_queries; ++i) {
    for (index_t r = 0; r < shadow_block_rows; ++r)
      products[i * shadow_block_rows + r] = tile.offsets[i];
  }
  for (index_t group = 0; group < tile.groups; ++group) {
    const std::uint8_t* rows = tile.rows + group * shadow_block_rows * shadow_group;
    const std::int8_t* queries = tile.queries + group * pruning_queries * shadow_group;
    for (index_t i = 0; i < pruning_queries; ++i) {
      const std::int8_t* q = queries + i * shadow_group;
      std::int32_t* sums = products + i * shadow_block_rows;
      for (index_t r = 0; r < shadow_block_rows; ++r) {
        const std::uint8_t* row = rows + r * shadow_group;
        sums[r] += q[0] * row[0] + q[1] * row[1] + q[2] * row[2] + q[3] * row[3];
      }
    }
  }
}

/// Bit r of hits[query] = !(product · scales[r] < thresholds[query]): NaN counts as a hit.
inline void pruning_hits_portable(const std::int32_t* products, const float* scales,
                                  const float* thresholds, std::uint32_t* hits) {
  for (index_t i = 0; i < pruning_queries; ++i) {
    hits[i] = 0;
    for (index_t r = 0; r < shadow_block_rows; ++r) {
      const float score = static_cast<float>(products[i * shadow_block_rows + r]) * scales[r];
      const bool is_hit = score >= thresholds[i] || feaug::detail::is_nan(score) ||
                          feaug::detail::is_nan(thresholds[i]);
      hits[i] |= static_cast<std::uint32_t>(is_hit) << r;
    }
  }
}

/// Products and hits with the given instruction set, which the machine must have; all give the same
/// results.
inline void prune_tile(instruction_set instructions, const pruning_operands& tile,
                       const float* scales, const float* thresholds, std::int32_t* products,
                       std::uint32_t* hits) {
#if FEAUG_X86
  if (instructions >= instruction_set::avx512) {
    pruning_products_avx512(tile, products);
    pruning_hits_avx512(products, scales, thresholds, hits);
    return;
  }
  if (instructions == instruction_set::avx2) {
    pruning_products_avx2(tile, products);
    pruning_hits_avx2(products, scales, thresholds, hits);
    return;
  }
#endif
  static_cast<void>(instructions);
  pruning_products_portable(tile, products);
  pruning_hits_portable(products, scales, thresholds, hits);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
