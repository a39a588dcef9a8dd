// Products of a tile of 8-bit queries with a block of 8-bit rows, and the rows that they cannot
// exclude.
#pragma once

#include "feaug/header_begin.hpp"

#include <cstdint>

#include "feaug/core/finite.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/cpu/queue/pruning/pruning_products_amx.hpp"
#include "feaug/cpu/queue/pruning/pruning_products_avx2.hpp"
#include "feaug/cpu/queue/pruning/pruning_products_avx512.hpp"
#include "feaug/cpu/queue/pruning/tile_shape.hpp"
#include "feaug/queue/queue_shadow.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// products[query · 32 + row] = Σ query code · (row code − 128), exact.
inline void pruning_products_portable(const pruning_operands& tile, std::int32_t* products) {
  for (index_t i = 0; i < pruning_queries; ++i) {
    std::int32_t* const sums = products + i * shadow_block_rows;
    for (index_t r = 0; r < shadow_block_rows; ++r) sums[r] = tile.offsets[i];
    for (index_t group = 0; group < tile.groups; ++group) {
      const std::uint8_t* rows = tile.rows + group * shadow_block_rows * shadow_group;
      const std::int8_t* const q = tile.queries + pruning_code(group, i);
      for (index_t r = 0; r < shadow_block_rows; ++r) {
        const std::uint8_t* row = rows + r * shadow_group;
        sums[r] += q[0] * row[0] + q[1] * row[1] + q[2] * row[2] + q[3] * row[3];
      }
    }
  }
}

/// Bit r of hits[query] = !(product · scales[r] < what a row must reach): NaN counts as a hit.
/// Returns a bit for each query that has a hit.
inline std::uint32_t pruning_hits_portable(const pruning_bounds& bounds,
                                           const pruning_results& results) {
  std::uint32_t queries = 0;
  for (index_t i = 0; i < pruning_queries; ++i) {
    const float threshold = bounds.bars[i] - (bounds.length_factors[i] * bounds.length +
                                              bounds.error_factors[i] * bounds.error);
    results.hits[i] = 0;
    for (index_t r = 0; r < shadow_block_rows; ++r) {
      const float score =
          static_cast<float>(results.products[i * shadow_block_rows + r]) * bounds.scales[r];
      const bool is_hit =
          feaug::detail::is_nan(score) || feaug::detail::is_nan(threshold) || score >= threshold;
      results.hits[i] |= static_cast<std::uint32_t>(is_hit) << r;
    }
    results.hits[i] &= bounds.filled;
    queries |= (results.hits[i] == 0 ? 0U : 1U) << i;
  }
  return queries;
}

/// maxima[query · 32 + row] becomes the larger of it and the lower bound of the row's score; NaN does
/// not.
inline void pruning_maxima_portable(const pruning_floors& floors, const std::int32_t* products,
                                    float* maxima) {
  for (index_t i = 0; i < pruning_queries; ++i) {
    for (index_t r = 0; r < shadow_block_rows; ++r) {
      const index_t at = i * shadow_block_rows + r;
      const float margin =
          floors.length_factors[i] * floors.lengths[r] + floors.error_factors[i] * floors.errors[r];
      const float lower = static_cast<float>(products[at]) * floors.scales[r] - margin;
      if (!feaug::detail::is_nan(lower) && lower > maxima[at]) maxima[at] = lower;
    }
  }
}

/// Prunes tiles with an instruction set that the machine has; all give the same hits, and the same
/// products where a query has a hit. Between construction and destruction its thread must not use AMX
/// for anything else.
class tile_pruner {
 public:
  explicit tile_pruner(instruction_set instructions) : instructions_(instructions) {
#if FEAUG_AMX_COMPILES
    if (instructions_ >= instruction_set::amx) begin_pruning_amx();
#endif
  }
  ~tile_pruner() {
#if FEAUG_AMX_COMPILES
    if (instructions_ >= instruction_set::amx) end_pruning_amx();
#endif
  }
  tile_pruner(const tile_pruner&) = delete;
  tile_pruner& operator=(const tile_pruner&) = delete;

  /// pruning_products of each block, for the other functions: with AMX, offsets are still to be
  /// added.
  void multiply(pruning_operands tile, std::int32_t* products) const {
#if FEAUG_AMX_COMPILES
    if (instructions_ >= instruction_set::amx) return pruning_products_amx(tile, products);
#endif
    for (index_t block = 0; block < tile.blocks; ++block) {
      multiply_block(tile, products);
      tile.rows += tile.groups * shadow_block_rows * shadow_group;
      products += pruning_products;
    }
  }

  /// Finds the rows of a block that may reach the bounds. Returns a bit for each query that has a
  /// hit.
  std::uint32_t find(const pruning_operands& tile, const pruning_bounds& bounds,
                     const pruning_results& results) const {
#if FEAUG_X86
    if (instructions_ >= instruction_set::amx)
      return pruning_hits_avx512<true>(tile.offsets, bounds, results);
    if (instructions_ >= instruction_set::avx512)
      return pruning_hits_avx512<false>(tile.offsets, bounds, results);
    if (instructions_ == instruction_set::avx2) return pruning_hits_avx2(bounds, results);
#endif
    return pruning_hits_portable(bounds, results);
  }

  /// Raises 16 × 32 maxima of lower bounds, for queries and the rows in the same place of a block.
  void raise(const pruning_operands& tile, const pruning_floors& floors,
             const std::int32_t* products, float* maxima) const {
#if FEAUG_X86
    if (instructions_ >= instruction_set::amx)
      return pruning_maxima_avx512<true>(tile.offsets, floors, products, maxima);
    if (instructions_ >= instruction_set::avx512)
      return pruning_maxima_avx512<false>(tile.offsets, floors, products, maxima);
    if (instructions_ == instruction_set::avx2)
      return pruning_maxima_avx2(floors, products, maxima);
#endif
    pruning_maxima_portable(floors, products, maxima);
  }

 private:
  void multiply_block(const pruning_operands& tile, std::int32_t* products) const {
#if FEAUG_X86
    if (instructions_ >= instruction_set::avx512) return pruning_products_avx512(tile, products);
    if (instructions_ == instruction_set::avx2) return pruning_products_avx2(tile, products);
#endif
    pruning_products_portable(tile, products);
  }

  instruction_set instructions_;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
