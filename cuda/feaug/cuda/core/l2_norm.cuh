// Row norms, bitwise equal to the CPU's: every sum is added in index order.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/core/element.hpp"
#include "feaug/core/exact_dot.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/core/warps.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda::inline FEAUG_CUBLAS_NAMESPACE {

/// Which value is written.
enum class norm_output { norm, inverse };

// out[i] = the norm of row i or its inverse. A block is one warp and computes 32 rows: it loads
// tiles of 32 × 32 elements with coalesced reads, and each lane sums its own row in index order.
// Limited by the lane's chain of dependent additions in double, one per column, or by memory
// bandwidth: reads each element once. Shared memory: one tile, 4.1 KiB for float. Registers: at
// most 112. (The 1 in __launch_bounds__ is the minimum number of blocks per SM. Without it, ptxas
// would use fewer registers on sm_80, and spill.)
template <element T>
__global__ void __launch_bounds__(warp_lanes, 1)
    row_norms_kernel(device_matrix<const T> x, norm_output what, double eps, double* out) {
  struct tile_type {
    T element[warp_lanes][warp_lanes + 1];
  };
  FEAUG_SHARED(tile_type, tile);
  const int lane = static_cast<int>(threadIdx.x);
  const index_t rows = x.rows();
  const index_t cols = x.cols();
  for (index_t begin = static_cast<index_t>(blockIdx.x) * warp_lanes; begin < rows;
       begin += static_cast<index_t>(gridDim.x) * warp_lanes) {
    double sum = 0;
    for (index_t first = 0; first < cols; first += warp_lanes) {
      const int width = static_cast<int>(cols - first < warp_lanes ? cols - first : warp_lanes);
      __syncwarp();
      for (int r = 0; r < warp_lanes; ++r) {
        if (begin + r < rows && lane < width)
          tile.element[r][lane] = x.row(begin + r)[first + lane];
      }
      __syncwarp();
      if (begin + lane < rows) {
        for (int j = 0; j < width; ++j)
          sum = exact_multiply_add(sum, tile.element[lane][j], tile.element[lane][j]);
      }
    }
    if (begin + lane < rows) {
      const double norm = row_norm_of(sum, x.row(begin + lane), cols);
      out[begin + lane] = what == norm_output::norm ? norm : inverse_norm(norm, eps);
    }
  }
}

/// out[i] = ‖x_i‖, or 1 / max(‖x_i‖, eps).
template <element T>
void row_norms(const operation& call, const device_matrix<const T>& x, norm_output what, double eps,
               double* out) {
  if (x.rows() == 0) return;
  call.launch(row_norms_kernel<T>, grid_size(x.rows(), warp_lanes), warp_lanes, 0, x, what, eps,
              out);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda

#include "feaug/header_end.hpp"
