// What a screening kernel multiplies.
#pragma once

#include <cstdint>

#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// Queries of a tile: with two registers of 16 rows each, half of AVX-512's registers hold sums.
/// More was not faster, and two tiles are a group of the plain scan.
inline constexpr index_t screening_queries = 8;

/// A tile of queries and a block of rows, both by four features.
struct screening_operands {
  const std::uint8_t* rows;    ///< quads × 32 rows × 4: codes + 128
  const std::int8_t* queries;  ///< quads × 8 queries × 4
  const std::int32_t* offsets;  ///< 8: −128 · Σ of a query's codes, which takes the 128 out again
  index_t quads;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu
