// Pruning: half-precision products on tensor cores give an upper bound of the cosine for every
// group of 64 rows. Rows that cannot be among the neighbours are never scored exactly.
//
// For a unit query u, a support row k and their rounded values û and k̂,
//     |u·k − û·k̂| ≤ ‖u − û‖‖k‖ + ‖û‖‖k − k̂‖.
// The norms of the differences are computed, not estimated, so the bound holds for any rows.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "feaug/core/element.hpp"
#include "feaug/core/exact_math.hpp"
#include "feaug/core/finite.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/core/tensor_core.cuh"
#include "feaug/cuda/core/tile_products.cuh"
#include "feaug/cuda/core/warps.cuh"
#include "feaug/cuda/queue/search_space.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda::inline FEAUG_CUBLAS_NAMESPACE {

/// Norm of a rounded row, and of its difference from the row. Both are infinite if the row is not
/// finite or out of half's range; the rounded row is then 0.
struct rounding {
  float length;
  float error;
};

/// Rows rounded for pruning.
struct pruned_rows {
  tensor_rows<half> rounded;
  rounding* roundings;  ///< one per query, or per group of support rows (the maximum)
};

/// Rows per group.
inline constexpr int group_rows = tile_columns;

/// The row of a group with the largest rounded product.
struct group_leader {
  float largest;  ///< −∞: every row is excluded or not filled
  float second;   ///< upper bound of the group's other rows
  int row;        ///< row of the largest, within the group
};

namespace detail {

/// A float that is not below the number.
__device__ inline float rounded_up(double number) {
  return static_cast<float>(number * (1.0 + 1e-6) + 1e-30);
}

}  // namespace detail

// Rounds x · factor to half, pads with zeros, and computes the roundings. One warp per row. Limited
// by memory bandwidth: reads the row twice, writes 2 · features + 8 bytes. Registers: at most 64.
template <element T>
__global__ void __launch_bounds__(256, 2)
    round_rows_kernel(device_matrix<const T> x, const double* factors, half* rounded, int features,
                      rounding* roundings) {
  const int lane = static_cast<int>(threadIdx.x);
  for (index_t i = static_cast<index_t>(blockIdx.x) * blockDim.y + threadIdx.y; i < x.rows();
       i += static_cast<index_t>(gridDim.x) * blockDim.y) {
    const double factor = factors == nullptr ? 1.0 : factors[i];
    double length = 0;
    double error = 0;
    for (index_t j = lane; j < x.cols(); j += warp_lanes) {
      const double wanted = exact::to_double(load(x(i, j))) * factor;
      const auto got = exact::to_double(load(store<half>(static_cast<float>(wanted))));
      length += got * got;
      error += (wanted - got) * (wanted - got);
    }
    length = warp_sum(length);
    error = warp_sum(error);
    const bool is_held = feaug::detail::is_finite(length) && feaug::detail::is_finite(error);
    for (index_t j = lane; j < features; j += warp_lanes) {
      const bool is_there = is_held && j < x.cols();
      rounded[i * features + j] = store<half>(
          is_there ? static_cast<float>(exact::to_double(load(x(i, j))) * factor) : 0.0F);
    }
    if (lane == 0) {
      roundings[i] = {is_held ? detail::rounded_up(sqrt(length)) : INFINITY,
                      is_held ? detail::rounded_up(sqrt(error)) : INFINITY};
    }
  }
}

// The largest norm and error of each group's filled rows. One warp per group. Limited by memory
// bandwidth: reads 8 bytes a row. Registers: at most 64.
template <int Rows>
__global__ void __launch_bounds__(256, 2)
    group_roundings_kernel(const rounding* of_rows, row_filter filter, rounding* of_groups) {
  const int lane = static_cast<int>(threadIdx.x);
  const index_t count = filter.count();
  for (index_t g = static_cast<index_t>(blockIdx.x) * blockDim.y + threadIdx.y; g * Rows < count;
       g += static_cast<index_t>(gridDim.x) * blockDim.y) {
    rounding largest = {0, 0};
    for (int r = lane; r < Rows; r += warp_lanes) {
      const index_t row = g * Rows + r;
      if (row >= count) continue;
      largest.length = fmaxf(largest.length, of_rows[row].length);
      largest.error = fmaxf(largest.error, of_rows[row].error);
    }
    largest = {warp_max(largest.length), warp_max(largest.error)};
    if (lane == 0) of_groups[g] = largest;
  }
}

/// The leader of the rows that a lane has seen, and its merge across lanes.
struct running_leader {
  group_leader seen = {minus_infinite(), minus_infinite(), 0};

  static __device__ float minus_infinite() { return -INFINITY; }

  /// Adds a row.
  __device__ void meet(float product, int row) {
    if (product > seen.largest) {
      seen = {product, seen.largest, row};
    } else if (product > seen.second) {
      seen.second = product;
    }
  }
  /// Merges with the lane whose number differs in these bits.
  __device__ void join_lane(int bits) {
    const group_leader other = {__shfl_xor_sync(all_lanes, seen.largest, bits),
                                __shfl_xor_sync(all_lanes, seen.second, bits),
                                __shfl_xor_sync(all_lanes, seen.row, bits)};
    const bool other_leads =
        other.largest > seen.largest || (other.largest == seen.largest && other.row < seen.row);
    const group_leader loser = other_leads ? seen : other;
    if (other_leads) seen = other;
    if (loser.largest > seen.second) seen.second = loser.largest;
  }
};

/// The tiles, and the ids of their rows.
template <int Features>
struct pruning_shared {
  product_tiles<half, Features> tiles;
  std::int64_t ids[2][tile_columns];
};

// The leader of each group for each query. A block computes 128 queries × one part of the groups;
// each of its 8 warps has 16 queries. Limited by tensor-core FLOP: 2·Features per query and row. A
// block reads its queries once and each row of its part once, 2·Features bytes each, and writes 12
// bytes per query and group. Shared memory: 512·(Features + 8) bytes + 1 KiB (37, 69 or 133 KiB).
// Registers: at most 128.
template <int Features>
__global__ void __launch_bounds__(tile_block, 2)
    prune_kernel(row_filter filter, tensor_rows<half> queries, index_t first_query,
                 tensor_rows<half> rows, index_t part_rows, group_leader* leaders) {
  using shared_type = pruning_shared<Features>;
  FEAUG_DYNAMIC_SHARED(shared_type, shared);
  const int warp_row = static_cast<int>(threadIdx.x) / warp_lanes * warp_rows;
  const index_t block_row = static_cast<index_t>(blockIdx.x) * tile_rows;
  const index_t groups = (rows.count + group_rows - 1) / group_rows;
  const index_t count = filter.count();
  const index_t begin = static_cast<index_t>(blockIdx.y) * part_rows;
  const index_t end = begin + part_rows < count ? begin + part_rows : count;
  const bool excludes = !filter.exclude_ids.empty();
  std::int64_t excluded[2] = {};
  for (int r = 0; r < 2 && excludes; ++r) {
    const index_t row = block_row + warp_row + row_in_warp(2 * r);
    if (row < queries.count) excluded[r] = filter.exclude_ids[first_query + row];
  }
  for_each_column_tile<Features>(
      shared->tiles, queries, block_row, rows, begin, end,
      [&](index_t first, int stage) {
        const index_t row = first + threadIdx.x;
        if (excludes && threadIdx.x < tile_columns && row < end)
          shared->ids[stage][threadIdx.x] = filter.ids[row];
      },
      [&](index_t first, int stage) {
        tile_sums products[column_steps];
        multiply_rows<Features>(&shared->tiles.rows[warp_row], shared->tiles.columns[stage],
                                products);
        running_leader leading[2];
        FEAUG_UNROLL
        for (int n = 0; n < column_steps; ++n) {
          FEAUG_UNROLL
          for (int e = 0; e < 4; ++e) {
            const int c = column_in_tile(n, e);
            if (first + c >= end) continue;
            if (excludes && shared->ids[stage][c] == excluded[e / 2]) continue;
            leading[e / 2].meet(products[n].at[e], c);
          }
        }
        for (int r = 0; r < 2; ++r) {
          leading[r].join_lane(1);
          leading[r].join_lane(2);
          const index_t row = block_row + warp_row + row_in_warp(2 * r);
          if (threadIdx.x % 4 == 0 && row < queries.count)
            leaders[row * groups + first / group_rows] = leading[r].seen;
        }
      });
}

/// Rounds the rows to half for pruning. Scratch: 2 · features + 8 bytes a row.
template <element T>
pruned_rows round_rows(operation& call, const device_matrix<const T>& x, const double* factors,
                       int features) {
  auto* const rounded = call.take<half>(x.rows() * features);
  auto* const roundings = call.take<rounding>(x.rows());
  const dim3 block(warp_lanes, 8);
  call.launch(round_rows_kernel<T>, grid_size(x.rows(), block.y), block, 0, x, factors, rounded,
              features, roundings);
  return {.rounded = {.data = rounded, .count = x.rows(), .features = features},
          .roundings = roundings};
}

/// Writes leaders[query · groups + group] for all filled groups. `first_query` is the number of the
/// first of these queries in the whole search.
template <int Features>
void prune(const operation& call, const row_filter& filter, const tensor_rows<half>& queries,
           index_t first_query, const tensor_rows<half>& rows, group_leader* leaders) {
  const index_t row_tiles = (queries.count + tile_rows - 1) / tile_rows;
  const index_t groups = (rows.count + group_rows - 1) / group_rows;
  const index_t parts = std::clamp<index_t>(wanted_blocks / row_tiles, 1, groups);
  const index_t part_groups = (groups + parts - 1) / parts;
  constexpr auto bytes = sizeof(pruning_shared<Features>);
  static_assert(bytes <= tile_shared_bytes<Features>);
  const auto kernel = prune_kernel<Features>;
  call.allow_dynamic_shared(kernel, bytes);
  const dim3 grid(static_cast<unsigned>(row_tiles),
                  static_cast<unsigned>((groups + part_groups - 1) / part_groups));
  call.launch(kernel, grid, tile_block, bytes, filter, queries, first_query, rows,
              part_groups * group_rows, leaders);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda

#include "feaug/header_end.hpp"
