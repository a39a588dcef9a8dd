// CUDA implementation of the Cholesky factorisation of a covariance matrix.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/core/cholesky_pivot.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/core/square_tiles.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda::inline FEAUG_CUBLAS_NAMESPACE {

// One panel of 32 columns, from `first` on. A block computes one 32 × 32 tile of it. It also
// computes the panel's diagonal tile again, so that it reads nothing that another block of the same
// launch writes; earlier panels are finished. Tiles above the diagonal become 0. Limited by FLOP
// and latency: 4·32²·first FLOP in double a block, then 32 dependent pivot steps. Shared memory: 33
// KiB. Registers: at most 128.
template <class Ridge>
__global__ void __launch_bounds__(square_threads)
    cholesky_panel_kernel(device_matrix<const double> matrix, Ridge ridge, index_t first,
                          device_matrix<double> lower) {
  struct tiles {
    tile_of<double> diagonal;
    tile_of<double> own;
    tile_of<double> left_of_diagonal;
    tile_of<double> left_of_own;
  };
  FEAUG_SHARED(tiles, shared);
  const index_t size = matrix.rows();
  const int width = static_cast<int>(size - first < square_tile ? size - first : square_tile);
  const double added = ridge();
  for (index_t begin = first + static_cast<index_t>(blockIdx.x) * square_tile; begin < size;
       begin += static_cast<index_t>(gridDim.x) * square_tile) {
    double diagonal[square_each] = {};
    double own[square_each] = {};
    for (index_t left = 0; left < first; left += square_tile) {
      __syncthreads();
      for_each_of_tile([&](int, int i, int j) {
        shared.left_of_diagonal.element[i][j] = i < width ? lower(first + i, left + j) : 0.0;
        shared.left_of_own.element[i][j] = begin + i < size ? lower(begin + i, left + j) : 0.0;
      });
      __syncthreads();
      for_each_of_tile([&](int e, int i, int j) {
        for (int t = 0; t < square_tile; ++t) {
          const double other = shared.left_of_diagonal.element[j][t];
          diagonal[e] += shared.left_of_diagonal.element[i][t] * other;
          own[e] += shared.left_of_own.element[i][t] * other;
        }
      });
    }
    __syncthreads();
    for_each_of_tile([&](int e, int i, int j) {
      const auto rest = [&](index_t row, double taken) {
        if (row + i >= size || j >= width || row + i < first + j) return 0.0;
        return matrix(row + i, first + j) + (row + i == first + j ? added : 0.0) - taken;
      };
      shared.diagonal.element[i][j] = rest(first, diagonal[e]);
      shared.own.element[i][j] = rest(begin, own[e]);
    });
    for (int t = 0; t < width; ++t) {
      __syncthreads();
      const double whole = matrix(first + t, first + t) + added;
      const feaug::detail::cholesky_pivot pivot =
          feaug::detail::pivot_of(shared.diagonal.element[t][t], whole, size);
      __syncthreads();
      for_each_of_tile([&](int, int i, int j) {
        if (j != t) return;
        if (i > t) shared.diagonal.element[i][t] *= pivot.inverse;
        if (i == t) shared.diagonal.element[t][t] = pivot.root;
        if (begin > first) shared.own.element[i][t] *= pivot.inverse;
      });
      __syncthreads();
      for_each_of_tile([&](int, int i, int j) {
        if (j <= t) return;
        const double other = shared.diagonal.element[j][t];
        if (i >= j) shared.diagonal.element[i][j] -= shared.diagonal.element[i][t] * other;
        if (begin > first) shared.own.element[i][j] -= shared.own.element[i][t] * other;
      });
    }
    __syncthreads();
    for_each_of_tile([&](int, int i, int j) {
      if (begin == first) {
        if (i < width && j < width) {
          lower(first + i, first + j) = i >= j ? shared.diagonal.element[i][j] : 0.0;
        }
        return;
      }
      if (begin + i < size && j < width) lower(begin + i, first + j) = shared.own.element[i][j];
      if (i < width && begin + j < size) lower(first + i, begin + j) = 0.0;
    });
    __syncthreads();
  }
}

/// lower·lowerᵀ = matrix + ridge()·identity, with the CPU's rule for a semi-definite matrix
/// (core/cholesky_pivot.hpp). Reads the lower half of `matrix`. One launch per 32 columns. ridge()
/// is called on the device.
template <class Ridge>
void cholesky(const operation& call, const device_matrix<const double>& matrix, const Ridge& ridge,
              const device_matrix<double>& lower) {
  const index_t size = matrix.rows();
  for (index_t first = 0; first < size; first += square_tile) {
    call.launch(cholesky_panel_kernel<Ridge>, grid_size(size - first, square_tile), square_threads,
                0, matrix, ridge, first, lower);
  }
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda

#include "feaug/header_end.hpp"
