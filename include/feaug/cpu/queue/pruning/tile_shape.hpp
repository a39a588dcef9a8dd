// The operands of a pruning kernel.
#pragma once

#include "feaug/header_begin.hpp"

#include <cstdint>

#include "feaug/core/tensor_view.hpp"
#include "feaug/queue/queue_shadow.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// Queries of a tile: a group of the exact scan, and the rows of an AMX register.
inline constexpr index_t pruning_queries = 16;
/// Groups of a query whose codes are adjacent: 64 features, the bytes of a row of an AMX register.
inline constexpr index_t pruning_groups = 16;

/// Where the codes of a group of a query are in its tile.
constexpr index_t pruning_code(index_t group, index_t query) {
  return ((group / pruning_groups * pruning_queries + query) * pruning_groups +
          group % pruning_groups) *
         shadow_group;
}
/// Bytes of a tile's codes.
constexpr index_t pruning_codes(index_t groups) {
  return pruning_code((groups + pruning_groups - 1) / pruning_groups * pruning_groups, 0);
}

/// Blocks of rows that are multiplied at once: their products hide the latency of AMX.
inline constexpr index_t pruning_blocks = 2;
/// Products of a tile of queries and a block of rows.
inline constexpr index_t pruning_products = pruning_queries * shadow_block_rows;

/// A tile of queries and adjacent blocks of rows, both in groups of four features.
struct pruning_operands {
  const std::uint8_t* rows;     ///< blocks × groups × 32 rows × 4: codes + 128
  const std::int8_t* queries;   ///< pruning_codes(groups)
  const std::int32_t* offsets;  ///< 16: −128 · Σ of a query's codes, which cancels the added 128
  index_t groups;
  index_t blocks;  ///< at most pruning_blocks
};

/// What a row must reach: for a query bars − (length_factors · length + error_factors · error).
struct pruning_bounds {
  const float* bars;  ///< 16, as the factors
  const float* length_factors;
  const float* error_factors;
  float length;  ///< the largest of the block, as the error
  float error;
  const float* scales;   ///< 32
  std::uint32_t filled;  ///< a bit for each row that can be a hit
};

/// What gives lower bounds of scores: product · scales − (length_factors · lengths + error_factors ·
/// errors).
struct pruning_floors {
  const float* length_factors;  ///< 16 of queries
  const float* error_factors;
  const float* scales;  ///< 32 of rows, as lengths and errors
  const float* lengths;
  const float* errors;
};

/// Products of a block, and the rows that they cannot exclude.
struct pruning_results {
  std::int32_t* products;  ///< 16 queries × 32 rows; afterwards only valid for queries with a hit
  std::uint32_t* hits;     ///< 16: a bit for each row
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
