// Screening: products of half precision on tensor cores that say of every 64 rows how near the
// nearest of them can be, with a proved margin. What cannot be among the neighbours is never
// scored.
//
// With u a unit query and k a support row, û and k̂ what they are rounded to, |u·k − û·k̂| ≤ ‖u −
// û‖‖k‖
// + ‖û‖‖k − k̂‖. The norms of the differences are computed, not estimated, so that the margin holds
// whatever the rows are.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "feaug/core/element.hpp"
#include "feaug/core/row_norm.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/core/tensor_core.cuh"
#include "feaug/cuda/core/tile_products.cuh"
#include "feaug/cuda/core/warps.cuh"
#include "feaug/cuda/queue/search_space.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda {

/// How long a rounded row is, and how far from the row itself. Infinite where half cannot hold the
/// row, or the row is not finite: then it is 0 among the rounded ones.
struct rounding {
  float length;
  float error;
};

/// Rows as they are screened.
struct screened_rows {
  tensor_rows<half> rounded;
  rounding* roundings;  ///< one a row of queries, one a group of support rows: the largest
};

/// Rows of a group.
inline constexpr int group_rows = tile_columns;

/// The nearest by rounded product of a group's rows.
struct group_leader {
  float largest;  ///< −∞: every row is excluded or not filled
  float second;   ///< no other row of the group is nearer
  int row;        ///< of the largest, within the group
};

namespace detail {

/// Not below the number, rounding included.
__device__ inline float rounded_up(double number) {
  return static_cast<float>(number * (1.0 + 1e-6) + 1e-30);
}

}  // namespace detail

// A warp a row: x · factor is rounded to half, zeros follow. Registers: at most 64.
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
      const double wanted = static_cast<double>(load(x(i, j))) * factor;
      const auto got = static_cast<double>(load(store<half>(static_cast<float>(wanted))));
      length += got * got;
      error += (wanted - got) * (wanted - got);
    }
    length = warp_sum(length);
    error = warp_sum(error);
    const bool is_held = feaug::detail::is_finite(length) && feaug::detail::is_finite(error);
    for (index_t j = lane; j < features; j += warp_lanes) {
      const bool is_there = is_held && j < x.cols();
      rounded[i * features + j] = store<half>(
          is_there ? static_cast<float>(static_cast<double>(load(x(i, j))) * factor) : 0.0F);
    }
    if (lane == 0) {
      roundings[i] = {is_held ? detail::rounded_up(sqrt(length)) : INFINITY,
                      is_held ? detail::rounded_up(sqrt(error)) : INFINITY};
    }
  }
}

// The largest roundings of each group's filled rows. A warp a group. Registers: at most 64.
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

/// What a lane has seen of a group, and how two lanes' views become one.
struct running_leader {
  group_leader seen = {minus_infinite(), minus_infinite(), 0};

  static __device__ float minus_infinite() { return -INFINITY; }

  __device__ void meet(float product, int row) {
    if (product > seen.largest) {
      seen = {product, seen.largest, row};
    } else if (product > seen.second) {
      seen.second = product;
    }
  }
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

/// Ids of a tile's rows beside the tiles.
template <int Features>
struct screening_shared {
  product_tiles<half, Features> tiles;
  std::int64_t ids[2][tile_columns];
};

// A block takes 128 queries and one part of the groups; a warp 16 of the queries. Registers: at
// most 128.
template <int Features>
__global__ void __launch_bounds__(tile_block, 2)
    screen_kernel(row_filter filter, tensor_rows<half> queries, index_t first_query,
                  tensor_rows<half> rows, index_t part_rows, group_leader* leaders) {
  using shared_type = screening_shared<Features>;
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

/// Rounds rows to half for screening. Scratch: 2 · features + 8 bytes a row.
template <element T>
screened_rows round_rows(operation& call, const device_matrix<const T>& x, const double* factors,
                         int features) {
  auto* const rounded = call.take<half>(x.rows() * features);
  auto* const roundings = call.take<rounding>(x.rows());
  const dim3 block(warp_lanes, 8);
  call.launch(round_rows_kernel<T>, grid_size(x.rows(), block.y), block, 0, x, factors, rounded,
              features, roundings);
  return {.rounded = {.data = rounded, .count = x.rows(), .features = features},
          .roundings = roundings};
}

/// leaders[query · groups + group] of all filled groups, for queries of which the first is number
/// first_query of the search.
template <int Features>
void screen(const operation& call, const row_filter& filter, const tensor_rows<half>& queries,
            index_t first_query, const tensor_rows<half>& rows, group_leader* leaders) {
  const index_t row_tiles = (queries.count + tile_rows - 1) / tile_rows;
  const index_t groups = (rows.count + group_rows - 1) / group_rows;
  const index_t parts = std::clamp<index_t>(wanted_blocks / row_tiles, 1, groups);
  const index_t part_groups = (groups + parts - 1) / parts;
  constexpr auto bytes = sizeof(screening_shared<Features>);
  const auto kernel = screen_kernel<Features>;
  call.allow_dynamic_shared(kernel, bytes);
  const dim3 grid(static_cast<unsigned>(row_tiles),
                  static_cast<unsigned>((groups + part_groups - 1) / part_groups));
  call.launch(kernel, grid, tile_block, bytes, filter, queries, first_query, rows,
              part_groups * group_rows, leaders);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda
