// The operands of a pruning kernel.
#pragma once

#include "feaug/header_begin.hpp"

#include <cstdint>

#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// Queries of a tile. With two registers of 16 rows for each, half of the AVX-512 registers hold
/// sums. More was not faster, and two tiles make a group of the exact scan.
inline constexpr index_t pruning_queries = 8;

/// A tile of queries and a block of rows, both in groups of four features.
struct pruning_operands {
  const std::uint8_t* rows;     ///< groups × 32 rows × 4: codes + 128
  const std::int8_t* queries;   ///< groups × 8 queries × 4
  const std::int32_t* offsets;  ///< 8: −128 · Σ of a query's codes, which cancels the added 128
  index_t groups;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
