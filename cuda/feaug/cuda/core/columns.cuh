// Column sums over the rows of a batch, and column moments.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/core/columns.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/core/warps.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda::inline FEAUG_CUBLAS_NAMESPACE {

template <element T>
using device_columns = scaled_columns<T, memory_space::device>;

inline constexpr int column_sum_rows = 16;  ///< rows that a block reads at a time

// term.put(j, Σ_i term(i, j)). A block sums 32 columns, so that the lanes of a warp read adjacent
// elements; each of its 16 warps sums every 16th row. Limited by memory bandwidth: reads every
// element of the term once. Shared memory: 4 KiB. Registers: at most 64.
template <class Term>
__global__ void __launch_bounds__(warp_lanes* column_sum_rows, 2)
    sum_columns_kernel(index_t rows, index_t cols, Term term) {
  struct shared_type {
    double sum[column_sum_rows][warp_lanes];
  };
  FEAUG_SHARED(shared_type, shared);
  const int lane = static_cast<int>(threadIdx.x);
  const int y = static_cast<int>(threadIdx.y);
  for (index_t first = static_cast<index_t>(blockIdx.x) * warp_lanes; first < cols;
       first += static_cast<index_t>(gridDim.x) * warp_lanes) {
    const index_t j = first + lane;
    double sum = 0;
    if (j < cols) {
      for (index_t i = y; i < rows; i += column_sum_rows) sum += term(i, j);
    }
    shared.sum[y][lane] = sum;
    __syncthreads();
    if (y == 0 && j < cols) {
      double total = 0;
      for (const auto& row : shared.sum) total += row[lane];
      term.put(j, total);
    }
    __syncthreads();  // the next columns overwrite the sums
  }
}

/// Calls term.put(j, Σ_i term(i, j)) for every column. The order of addition is fixed.
template <class Term>
void sum_columns(const operation& call, index_t rows, index_t cols, const Term& term) {
  if (cols == 0) return;
  call.launch(sum_columns_kernel<Term>, grid_size(cols, warp_lanes),
              dim3(warp_lanes, column_sum_rows), 0, rows, cols, term);
}

/// Mean of every column, and Σ (x − mean)² over its rows. Three passes over x: the second corrects
/// the rounding of the mean.
template <element T>
void column_moments(const operation& call, const row_elements<T, memory_space::device>& of,
                    double* mean, double* squares) {
  constexpr auto device = memory_space::device;
  const index_t rows = of.x.rows();
  const index_t cols = of.x.cols();
  sum_columns(call, rows, cols, feaug::detail::column_mean<T, device>{of, mean});
  sum_columns(call, rows, cols, feaug::detail::refined_mean<T, device>{of, mean});
  sum_columns(call, rows, cols, feaug::detail::squared_deviation<T, device>{of, mean, squares});
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda

#include "feaug/header_end.hpp"
