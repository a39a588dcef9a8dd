// CUDA implementation of effective_rank: the number of directions in which features vary.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <cmath>

#include "feaug/core/element.hpp"
#include "feaug/core/finite.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/core/pointers.cuh"
#include "feaug/cuda/core/square_tiles.cuh"
#include "feaug/cuda/core/symmetric_eigenvalues.cuh"
#include "feaug/cuda/loss/row_losses.cuh"
#include "feaug/diagnostics/effective_rank.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cuda::inline FEAUG_CUBLAS_NAMESPACE {

/// The columns of x as vectors, or its rows if there are fewer rows.
template <element T>
struct shorter_side {
  device_matrix<const T> x;
  bool of_columns;

  /// Element d of vector v.
  __device__ double operator()(index_t d, index_t v) const {
    return static_cast<double>(load(of_columns ? x(d, v) : x(v, d)));
  }
};

// The Gram matrix of the vectors. A block computes one 32 × 32 tile of the lower half and writes it
// to both halves; blocks of the upper half return. Limited by FLOP in double: size²·depth. Shared
// memory: 16.5 KiB. Registers: at most 80.
template <element T>
__global__ void __launch_bounds__(square_threads)
    small_gram_kernel(shorter_side<T> vectors, index_t depth, device_matrix<double> gram) {
  const index_t first_row = static_cast<index_t>(blockIdx.y) * square_tile;
  const index_t first_column = static_cast<index_t>(blockIdx.x) * square_tile;
  if (first_column > first_row) return;
  double sums[square_each] = {};
  add_gram_tile(vectors, depth, gram.rows(), first_row, first_column, sums);
  for_each_of_tile([&](int e, int i, int j) {
    const index_t row = first_row + i;
    const index_t column = first_column + j;
    if (row >= gram.rows() || column > row) return;
    gram(row, column) = sums[e];
    gram(column, row) = sums[e];
  });
}

// *largest = the largest diagonal element, which is the largest of the whole Gram matrix; ∞ if a
// diagonal element is not finite. One block. Limited by latency.
template <class To>
__global__ void __launch_bounds__(sum_threads)
    largest_of_diagonal_kernel(device_matrix<const double> matrix, To* largest) {
  const double found = block_max(matrix.rows(), [&](index_t k) {
    const double value = matrix(k, k);
    return feaug::detail::is_finite(value) ? value : static_cast<double>(INFINITY);
  });
  if (threadIdx.x == 0) *largest = found;
}

// The rank from the eigenvalues, with the CPU's formula. One thread. Limited by latency.
template <class To>
__global__ void effective_rank_kernel(device_vector<const double> eigenvalues,
                                      const double* largest, double rounding, To to) {
  if (!feaug::detail::is_finite(*largest)) {
    to[0] = static_cast<double>(NAN);
  } else if (*largest == 0) {
    to[0] = 0;
  } else {
    to[0] = feaug::detail::rank_of_eigenvalues(eigenvalues.data, eigenvalues.size(), rounding);
  }
}

}  // namespace cuda

/// Scratch: 8·min(N, D)² bytes. 2·min(N, D) launches.
template <>
struct detail::effective_rank_on<cuda_context> {
  template <element T>
  static void run(cuda_context& ctx, const device_matrix<const T>& x,
                  const device_vector<double>& to) {
    cuda::operation call(ctx, "effective_rank");
    const index_t side = std::min(x.rows(), x.cols());
    const index_t depth = std::max(x.rows(), x.cols());
    const device_matrix<double> gram(call.take<double>(side * side), side, side);
    const device_vector<double> eigenvalues(call.take<double>(side), side);
    auto* const largest = call.take<double>(1);
    const unsigned tiles = cuda::grid_size(side, cuda::square_tile);
    call.launch(cuda::small_gram_kernel<T>, dim3(tiles, tiles), cuda::square_threads, 0,
                cuda::shorter_side<T>{x, x.cols() <= x.rows()}, depth, gram);
    call.launch(cuda::largest_of_diagonal_kernel<double>, 1, cuda::sum_threads, 0, gram, largest);
    cuda::symmetric_eigenvalues(call, gram, largest, eigenvalues);
    call.launch(cuda::effective_rank_kernel<device_vector<double>>, 1, 1, 0, eigenvalues, largest,
                eigenvalue_rounding(x.rows(), x.cols()), to);
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
