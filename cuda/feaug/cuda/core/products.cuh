// Matrix products: cuBLAS if its header is found, else feaug's own kernel.
#pragma once

#include "feaug/header_begin.hpp"

#include <cstddef>
#include <type_traits>

#include "feaug/core/bit_cast.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/cublas.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda::inline FEAUG_CUBLAS_NAMESPACE {

namespace detail {

/// An operand rounded to the precision. Doubles are not rounded.
template <class C>
__device__ C rounded_to(product_precision precision, C value) {
  if constexpr (std::is_same_v<C, float>) {
    if (precision == product_precision::bf16) return load(store<bfloat16>(value));
    if (precision == product_precision::tf32) {
      const auto bits = feaug::detail::bit_cast<std::uint32_t>(value);
      const bool is_number = (bits & 0x7F800000U) != 0x7F800000U;
      if (is_number) return feaug::detail::bit_cast<float>((bits + 0x1000U) & 0xFFFFE000U);
    }
  }
  return value;
}

}  // namespace detail

inline constexpr int product_tile = 64;  ///< rows and columns of C per block
inline constexpr int product_step = 16;  ///< inner indices per step
inline constexpr int product_threads = 256;

// C = A·op(B) or C += A·op(B). A block computes a 64 × 64 tile of C; each of its 256 threads
// computes 4 × 4 elements, and each sum is added in index order. Limited by FLOP:
// 2·rows·columns·inner; a thread reads 8 elements of shared memory for 16 multiply-adds. Shared
// memory: 8.1 KiB, double 16.3 KiB. Registers: at most 96.
template <class C>
__global__ void __launch_bounds__(product_threads)
    product_kernel(product<C> what, product_precision precision) {
  struct tiles {
    C a[product_step][product_tile + 1];
    C b[product_step][product_tile + 1];
  };
  FEAUG_SHARED(tiles, shared);
  constexpr int side = 16;
  constexpr int each = product_tile / side;
  const int thread = static_cast<int>(threadIdx.x);
  const int x = thread % side;
  const int y = thread / side;
  for (index_t first_row = static_cast<index_t>(blockIdx.y) * product_tile; first_row < what.rows;
       first_row += static_cast<index_t>(gridDim.y) * product_tile) {
    const index_t first_column = static_cast<index_t>(blockIdx.x) * product_tile;
    C sums[each][each] = {};
    for (index_t first = 0; first < what.inner; first += product_step) {
      __syncthreads();
      for (int at = thread; at < product_tile * product_step; at += product_threads) {
        // Adjacent threads read elements along the contiguous index.
        const int inner = at % product_step;
        const int outer = at / product_step;
        const index_t row = first_row + outer;
        shared.a[inner][outer] =
            row < what.rows && first + inner < what.inner
                ? detail::rounded_to(precision, what.a[row * what.a_stride + first + inner])
                : C{0};
        const int b_inner = what.b_transposed ? inner : at / product_tile;
        const int b_outer = what.b_transposed ? outer : at % product_tile;
        const index_t column = first_column + b_outer;
        const index_t d = first + b_inner;
        C element = 0;
        if (column < what.columns && d < what.inner) {
          element = what.b_transposed ? what.b[column * what.b_stride + d]
                                      : what.b[d * what.b_stride + column];
        }
        shared.b[b_inner][b_outer] = detail::rounded_to(precision, element);
      }
      __syncthreads();
      FEAUG_UNROLL
      for (int d = 0; d < product_step; ++d) {
        FEAUG_UNROLL
        for (int i = 0; i < each; ++i) {
          FEAUG_UNROLL
          for (int j = 0; j < each; ++j)
            sums[i][j] += shared.a[d][y + side * i] * shared.b[d][x + side * j];
        }
      }
    }
    for (int i = 0; i < each; ++i) {
      const index_t row = first_row + y + side * i;
      for (int j = 0; j < each; ++j) {
        const index_t column = first_column + x + side * j;
        if (row >= what.rows || column >= what.columns) continue;
        C& to = what.c[row * what.c_stride + column];
        to = what.adds ? to + sums[i][j] : sums[i][j];
      }
    }
  }
}

/// Workspace for all products of a call.
inline product_scratch take_product_scratch(operation& call) {
  constexpr std::size_t bytes = cublas_handle::scratch_bytes;
  if constexpr (bytes == 0) return {};
  return {.memory = call.take<unsigned char>(static_cast<index_t>(bytes)), .bytes = bytes};
}

/// C = A·op(B), or C += A·op(B).
template <class C>
void multiply(const operation& call, const product_scratch& scratch, const product<C>& what) {
  if (what.rows == 0 || what.columns == 0) return;
  cuda_context& ctx = call.context();
  if (ctx.cublas.multiply(call.name(), ctx.stream, ctx.precision, scratch, what)) return;
  const dim3 grid(static_cast<unsigned>((what.columns + product_tile - 1) / product_tile),
                  grid_size(what.rows, product_tile));
  call.launch(product_kernel<C>, grid, product_threads, 0, what, ctx.precision);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda

#include "feaug/header_end.hpp"
