// Building blocks of kernels that compute a D × D matrix (covariance, Gram matrix, Cholesky factor)
// in tiles of 32 × 32 elements, in double, with one block of 256 threads per tile.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda::inline FEAUG_CUBLAS_NAMESPACE {

inline constexpr int square_tile = 32;  ///< rows and columns of a tile
inline constexpr int square_threads = 256;
/// Elements of a tile per thread.
inline constexpr int square_each = square_tile * square_tile / square_threads;

/// A tile in shared memory. The odd pitch avoids bank conflicts.
template <class C>
struct tile_of {
  C element[square_tile][square_tile + 1];
};

/// A thread has four of a tile's 32 × 32 elements. Calls visit(e, i, j) for each of them: e is 0 to
/// 3, i and j are the element's row and column in the tile.
template <class Visit>
__device__ void for_each_of_tile(const Visit& visit) {
  const int j = static_cast<int>(threadIdx.x) % square_tile;
  const int i = static_cast<int>(threadIdx.x) / square_tile;
  FEAUG_UNROLL
  for (int e = 0; e < square_each; ++e) visit(e, i + e * (square_threads / square_tile), j);
}

/// sums += this thread's elements of one tile of the Gram matrix of `size` vectors with `depth`
/// elements each; vectors(d, v) is element d of vector v. All threads of the block must call this.
/// 2·32²·depth FLOP in double. Shared memory: 16.5 KiB.
template <class Vectors>
__device__ void add_gram_tile(const Vectors& vectors, index_t depth, index_t size,
                              index_t first_row, index_t first_column,
                              double (&sums)[square_each]) {
  struct tiles {
    tile_of<double> below;
    tile_of<double> across;
  };
  FEAUG_SHARED(tiles, shared);
  for (index_t begin = 0; begin < depth; begin += square_tile) {
    __syncthreads();
    for_each_of_tile([&](int, int i, int j) {
      const auto element = [&](index_t v) {
        return begin + i < depth && v < size ? vectors(begin + i, v) : 0.0;
      };
      shared.below.element[i][j] = element(first_row + j);
      shared.across.element[i][j] = element(first_column + j);
    });
    __syncthreads();
    for_each_of_tile([&](int e, int i, int j) {
      for (int t = 0; t < square_tile; ++t)
        sums[e] += shared.below.element[t][i] * shared.across.element[t][j];
    });
  }
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda

#include "feaug/header_end.hpp"
