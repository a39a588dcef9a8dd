// Products of rows and columns on tensor cores, tile by tile from shared memory. A block keeps 128
// rows and goes through the columns 64 at a time; the next 64 are copied while it computes.
#pragma once

#include "feaug/header_begin.hpp"

#include <cstddef>
#include <string_view>

#include "feaug/core/element.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/async_copy.cuh"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/error.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/core/tensor_core.cuh"
#include "feaug/cuda/core/warps.cuh"
#include "feaug/version.hpp"

// A block computes tile_rows × tile_columns at a time, a warp warp_rows of the rows.
namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda::inline FEAUG_CUBLAS_NAMESPACE {

inline constexpr int tile_warps = 8;
inline constexpr int tile_block = tile_warps * warp_lanes;  ///< threads per block
inline constexpr int warp_rows = 16;
inline constexpr int tile_rows = tile_warps * warp_rows;
inline constexpr int tile_columns = 64;
inline constexpr int column_steps = tile_columns / 8;  ///< 16 × 8 tiles of sums per warp

/// The number of multiprocessors of the largest current GPUs. Work is split into this many blocks
/// if possible. It is a constant, so that sums are split alike on every GPU.
inline constexpr index_t wanted_blocks = 132;

/// The row width that a kernel is compiled for and that holds `cols` features; 0: none.
constexpr int tile_features(index_t cols) {
  return cols <= 64 ? 64 : cols <= 128 ? 128 : cols <= 256 ? 256 : 0;
}

/// Rows of 16-bit elements in device memory, `features` elements apart. `features` is a width that
/// a kernel is compiled for; elements beyond the real features are 0. Aligned to 16 bytes.
template <tensor_element Element>
struct tensor_rows {
  const Element* data = nullptr;
  index_t count = 0;
  int features = 0;

  /// The rows first … first + rows − 1.
  [[nodiscard]] tensor_rows from(index_t first, index_t rows) const {
    return {.data = data == nullptr ? nullptr : data + first * features,
            .count = rows,
            .features = features};
  }
};

/// The tiles in a block's shared memory: the block's rows, and two buffers of columns. Rows are
/// padded by 8 elements, so that eight consecutive rows lie in different banks.
template <tensor_element Element, int Features>
struct product_tiles {
  static constexpr int pitch = Features + 8;
  Element rows[tile_rows][pitch];
  Element columns[2][tile_columns][pitch];
};

/// The shared memory of a block of a kernel on these tiles: the tiles, and 1 KiB of other data of
/// their columns (at most 8 bytes for each of the two buffers' columns).
template <int Features>
inline constexpr std::size_t tile_shared_bytes =
    sizeof(product_tiles<half, Features>) + std::size_t{2} * tile_columns * 8;

/// tile_shared_bytes of the kernel for rows with `cols` features; 0: none.
constexpr std::size_t shared_bytes_of_tiles(index_t cols) {
  switch (tile_features(cols)) {
    case 64:
      return tile_shared_bytes<64>;
    case 128:
      return tile_shared_bytes<128>;
    case 256:
      return tile_shared_bytes<256>;
    default:
      return 0;
  }
}

/// Whether the context asks for tensor cores and kernels on tiles of rows with `cols` features can
/// run: 37 KiB of shared memory up to 64 features, 69 up to 128, 133 up to 256 (GPUs of sm_86, sm_89
/// and sm_120 have 99).
inline bool uses_tensor_tiles(const operation& call, index_t cols) {
  const std::size_t needed = shared_bytes_of_tiles(cols);
  return needed != 0 && call.context().tensor_cores && needed <= known_tensor_core_shared(call);
}

/// All threads of the block start to copy Rows rows, from `first` on; rows from `end` on become 0.
template <int Rows, int Features, tensor_element Element>
__device__ void begin_rows(Element (&to)[Rows][Features + 8], const tensor_rows<Element>& from,
                           index_t first, index_t end) {
  constexpr int chunks = Features / 8;  // of 16 bytes
  for (int at = static_cast<int>(threadIdx.x); at < Rows * chunks; at += tile_block) {
    const int r = at / chunks;
    const int d = at % chunks * 8;
    const bool is_there = first + r < end;
    begin_copy_16(&to[r][d], from.data + (is_there ? (first + r) * Features + d : 0), is_there);
  }
}

/// Calls act(first column, stage) for each tile of 64 of the columns begin … end − 1. At the call,
/// the tile is in tiles.columns[stage] and the block's rows are in tiles.rows. stage_more(first
/// column, stage) is called when the copy of a tile starts, and may write more data of its columns
/// to shared memory; act sees that data. All threads of the block must call this.
template <int Features, tensor_element Element, class StageMore, class Act>
__device__ void for_each_column_tile(product_tiles<Element, Features>& tiles,
                                     const tensor_rows<Element>& rows, index_t first_row,
                                     const tensor_rows<Element>& columns, index_t begin,
                                     index_t end, const StageMore& stage_more, const Act& act) {
  if (begin >= end) return;
  begin_rows<tile_rows, Features>(tiles.rows, rows, first_row, rows.count);
  begin_rows<tile_columns, Features>(tiles.columns[0], columns, begin, end);
  stage_more(begin, 0);
  close_copy_group();
  int stage = 0;
  for (index_t first = begin; first < end; first += tile_columns) {
    const index_t next = first + tile_columns;
    if (next < end) {
      begin_rows<tile_columns, Features>(tiles.columns[1 - stage], columns, next, end);
      stage_more(next, 1 - stage);
    }
    close_copy_group();
    wait_for_copy_groups<1>();
    __syncthreads();  // the copies of all threads for this stage are visible
    act(first, stage);
    __syncthreads();  // all threads have read this stage: it may be overwritten
    stage = 1 - stage;
  }
}

/// products = the warp's 16 rows × 64 columns, inner products over Features. 2·16·64·Features FLOP.
template <int Features, tensor_element Element>
__device__ void multiply_rows(const Element (*rows)[Features + 8],
                              const Element (*columns)[Features + 8],
                              tile_sums (&products)[column_steps]) {
  const int lane = static_cast<int>(threadIdx.x) % warp_lanes;
  const int eight = lane % 8;
  const int tile = lane / 8;
  FEAUG_UNROLL
  for (int n = 0; n < column_steps; ++n) products[n] = {};
  FEAUG_UNROLL
  for (int d = 0; d < Features; d += 16) {
    left_operand left;
    load_four_tiles<false>(&rows[tile % 2 * 8 + eight][d + tile / 2 * 8], left.pairs);
    FEAUG_UNROLL
    for (int n = 0; n < column_steps; n += 2) {
      std::uint32_t pairs[4];
      load_four_tiles<false>(&columns[8 * n + tile / 2 * 8 + eight][d + tile % 2 * 8], pairs);
      multiply_add<Element>(products[n], left, {{pairs[0], pairs[1]}});
      multiply_add<Element>(products[n + 1], left, {{pairs[2], pairs[3]}});
    }
  }
}

/// sums += weights (16 × 64, rounded to bfloat16) · columns (64 × Features). 2·16·64·Features FLOP.
template <int Features>
__device__ void add_weighted(const tile_sums (&weights)[column_steps],
                             const bfloat16 (*columns)[Features + 8],
                             tile_sums (&sums)[Features / 8]) {
  const int lane = static_cast<int>(threadIdx.x) % warp_lanes;
  const int eight = lane % 8;
  const int tile = lane / 8;
  FEAUG_UNROLL
  for (int k = 0; k < column_steps; k += 2) {
    // Two adjacent 16 × 8 tiles of sums have the register layout of a left operand.
    const left_operand left = {{bfloat16_pair(weights[k].at[0], weights[k].at[1]),
                                bfloat16_pair(weights[k].at[2], weights[k].at[3]),
                                bfloat16_pair(weights[k + 1].at[0], weights[k + 1].at[1]),
                                bfloat16_pair(weights[k + 1].at[2], weights[k + 1].at[3])}};
    FEAUG_UNROLL
    for (int n = 0; n < Features / 8; n += 2) {
      std::uint32_t pairs[4];
      load_four_tiles<true>(&columns[8 * k + tile % 2 * 8 + eight][8 * n + tile / 2 * 8], pairs);
      multiply_add<bfloat16>(sums[n], left, {{pairs[0], pairs[1]}});
      multiply_add<bfloat16>(sums[n + 1], left, {{pairs[2], pairs[3]}});
    }
  }
}

/// Row (of the warp's 16) and column (of the tile's 64) of products[n].at[e] in this lane.
__device__ inline int row_in_warp(int e) {
  return static_cast<int>(threadIdx.x) % warp_lanes / 4 + e / 2 * 8;
}
__device__ inline int column_in_tile(int n, int e) {
  return 8 * n + static_cast<int>(threadIdx.x) % 4 * 2 + e % 2;
}

/// Combines the values of the four lanes that hold the same rows; all four get the result.
template <class C, class Combine>
__device__ C over_row_lanes(C value, const Combine& combine) {
  value = combine(value, __shfl_xor_sync(all_lanes, value, 1));
  return combine(value, __shfl_xor_sync(all_lanes, value, 2));
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Whether losses of floats and 16-bit types with precision bf16, and searches with k ≤ 32 and
/// without a similarity ceiling, use tensor cores in this context for rows with this many features. False if the context does not ask for them, above 256 features, if the
/// program was compiled for an architecture below sm_80, or if the current GPU has too little shared
/// memory (docs/cuda.md).
inline bool has_tensor_cores(const cuda_context& ctx, index_t features) {
  constexpr std::string_view op = "has_tensor_cores";
  cuda::require_no_earlier_error(op);
  const std::size_t needed = cuda::shared_bytes_of_tiles(features);
  return features > 0 && needed != 0 && ctx.tensor_cores && needed <= cuda::tensor_core_shared(op);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
