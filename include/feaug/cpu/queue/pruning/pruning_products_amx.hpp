// Pruning with AMX: 16384 products of 8 bits an instruction.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <cstdint>

#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/amx_tiles.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/cpu/queue/pruning/tile_shape.hpp"
#include "feaug/version.hpp"

#if FEAUG_AMX_COMPILES
namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

FEAUG_AMX inline void begin_pruning_amx() {
  static constexpr amx_tiles tiles;
  _tile_loadconfig(&tiles);
}

FEAUG_AMX inline void end_pruning_amx() { _tile_release(); }

/// Adds the products of 64 features to tiles 0 and 1, and 2 and 3 for the second block.
FEAUG_AMX FEAUG_INLINE void add_pruning_products_amx(const std::int8_t* queries,
                                                     const std::uint8_t* first,
                                                     const std::uint8_t* second) {
  constexpr index_t row_stride = shadow_block_rows * shadow_group;
  _tile_loadd(4, queries, pruning_groups * shadow_group);
  _tile_loadd(5, first, row_stride);
  _tile_loadd(6, first + row_stride / 2, row_stride);
  _tile_dpbsud(0, 4, 5);
  _tile_dpbsud(1, 4, 6);
  _tile_loadd(7, second, row_stride);
  _tile_loadd(5, second + row_stride / 2, row_stride);
  _tile_dpbsud(2, 4, 7);
  _tile_dpbsud(3, 4, 5);
}

/// Like pruning_products_portable, without offsets, between begin_pruning_amx and end_pruning_amx.
/// Limited by the multiplications: 64 cycles for 64 features of two blocks. With a single block,
/// which is multiplied twice, it would be limited by their latency.
FEAUG_AMX inline void pruning_products_amx(const pruning_operands& tile, std::int32_t* products) {
  constexpr index_t chunk = pruning_groups * shadow_block_rows * shadow_group;
  const std::uint8_t* first = tile.rows;
  const std::uint8_t* second =
      tile.rows + (tile.blocks - 1) * tile.groups * (chunk / pruning_groups);
  const std::int8_t* queries = tile.queries;
  // g++'s tile loads do not say that they read memory.
  __asm__ volatile("" : : : "memory");
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (index_t group = pruning_groups; group <= tile.groups; group += pruning_groups) {
    add_pruning_products_amx(queries, first, second);
    queries += pruning_queries * pruning_groups * shadow_group;
    first += chunk;
    second += chunk;
  }
  const index_t rest = tile.groups % pruning_groups * (chunk / pruning_groups);
  if (rest != 0) {
    // Codes of queries are padded with 0, those of rows are not.
    alignas(64) std::uint8_t padded[2][chunk] = {};
    std::copy_n(first, rest, padded[0]);
    std::copy_n(second, rest, padded[1]);
    __asm__ volatile("" : : "r"(padded) : "memory");
    add_pruning_products_amx(queries, padded[0], padded[1]);
  }
  constexpr index_t product_stride = shadow_block_rows * sizeof(std::int32_t);
  constexpr index_t of_block = pruning_queries * shadow_block_rows;
  _tile_stored(0, products, product_stride);
  _tile_stored(1, products + shadow_block_rows / 2, product_stride);
  if (tile.blocks > 1) {
    _tile_stored(2, products + of_block, product_stride);
    _tile_stored(3, products + of_block + shadow_block_rows / 2, product_stride);
  }
  __asm__ volatile("" : : : "memory");
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu
#endif

#include "feaug/header_end.hpp"
