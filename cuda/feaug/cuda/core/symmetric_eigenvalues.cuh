// Eigenvalues of a positive semi-definite matrix: Householder tridiagonalisation, then bisection
// with Sturm counts. The number of launches and steps is fixed, so a graph can capture it. Golub
// and Van Loan, Matrix Computations, §8.3 and §8.4.
#pragma once

#include "feaug/header_begin.hpp"

#include <cmath>

#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/core/warps.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda::inline FEAUG_CUBLAS_NAMESPACE {

inline constexpr int eigen_warps = 8;  ///< rows per block, one per warp

/// A matrix that is being reduced to tridiagonal form.
struct tridiagonal_problem {
  device_matrix<double> matrix;  ///< symmetric, both halves; ends with the result's diagonal
  double* off_diagonal;          ///< off-diagonal elements, one fewer than rows
  double* scale;                 ///< the reflection of step k is I − scale_k·v·vᵀ
  double* product;               ///< scale_k·matrix·v

  /// Element j > k of the Householder vector v that maps row k to (…, off_diagonal[k], 0, …).
  __device__ double reflector(index_t k, index_t j) const {
    return matrix(k, j) - (j == k + 1 ? off_diagonal[k] : 0.0);
  }
};

// Divides the matrix by its largest diagonal element, so that squares of elements neither overflow
// nor underflow. One block per row. Limited by memory bandwidth: reads and writes the matrix once.
template <class Scale>
__global__ void __launch_bounds__(256)
    scale_square_kernel(device_matrix<double> matrix, const Scale* largest) {
  const double factor = *largest;
  if (!(factor > 0)) return;
  for (index_t i = blockIdx.x; i < matrix.rows(); i += gridDim.x) {
    for (index_t j = threadIdx.x; j < matrix.cols(); j += blockDim.x) matrix(i, j) /= factor;
  }
}

// Step k, part 1: the Householder reflection of row k, and scale·matrix·v for the rows below. One
// warp per row. Every warp computes the reflection itself, and one of them writes it. Limited by
// memory bandwidth: reads (size − k − 1)² doubles. Registers: at most 64.
template <class Problem>
__global__ void __launch_bounds__(warp_lanes* eigen_warps)
    reflect_row_kernel(Problem problem, index_t k) {
  const index_t size = problem.matrix.rows();
  const int lane = static_cast<int>(threadIdx.x);
  double squares = 0;
  for (index_t j = k + 1 + lane; j < size; j += warp_lanes)
    squares += problem.matrix(k, j) * problem.matrix(k, j);
  const double norm = std::sqrt(warp_sum(squares));
  const double first = problem.matrix(k, k + 1);
  const double off_diagonal = first > 0 ? -norm : norm;  // no cancellation in first − off_diagonal
  const double length = norm * (norm + std::fabs(first));
  const double scale = length > 0 ? 1 / length : 0.0;
  for (index_t i = k + 1 + static_cast<index_t>(blockIdx.x) * eigen_warps + threadIdx.y; i < size;
       i += static_cast<index_t>(gridDim.x) * eigen_warps) {
    double sum = 0;
    for (index_t j = k + 1 + lane; j < size; j += warp_lanes)
      sum += problem.matrix(i, j) * (problem.matrix(k, j) - (j == k + 1 ? off_diagonal : 0.0));
    sum = warp_sum(sum);
    if (lane != 0) continue;
    problem.product[i] = scale * sum;
    if (i != k + 1) continue;
    problem.off_diagonal[k] = off_diagonal;
    problem.scale[k] = scale;
  }
}

// Step k, part 2: applies the reflection to both sides of the remaining matrix, which becomes
// matrix − v·wᵀ − w·vᵀ. One warp per row. Limited by memory bandwidth: reads and writes
// (size − k − 1)² doubles. Registers: at most 64.
template <class Problem>
__global__ void __launch_bounds__(warp_lanes* eigen_warps)
    reflect_rest_kernel(Problem problem, index_t k) {
  const index_t size = problem.matrix.rows();
  const int lane = static_cast<int>(threadIdx.x);
  double dot = 0;
  for (index_t j = k + 1 + lane; j < size; j += warp_lanes)
    dot += problem.reflector(k, j) * problem.product[j];
  const double half = problem.scale[k] / 2 * warp_sum(dot);
  const auto partner = [&](index_t j) {
    return problem.product[j] - half * problem.reflector(k, j);
  };
  for (index_t i = k + 1 + static_cast<index_t>(blockIdx.x) * eigen_warps + threadIdx.y; i < size;
       i += static_cast<index_t>(gridDim.x) * eigen_warps) {
    const double v = problem.reflector(k, i);
    const double w = partner(i);
    for (index_t j = k + 1 + lane; j < size; j += warp_lanes)
      problem.matrix(i, j) -= v * partner(j) + w * problem.reflector(k, j);
  }
}

// The eigenvalues, ascending, one thread per eigenvalue: 64 bisections of [0, 2·size], an interval
// that holds them all because the trace is at most `size`, down to the resolution of doubles.
// Limited by latency: 64·size dependent divisions in double. Registers: at most 64.
template <class Problem>
__global__ void __launch_bounds__(256, 2)
    bisect_eigenvalues_kernel(Problem problem, device_vector<double> eigenvalues) {
  constexpr int halvings = 64;
  const index_t size = problem.matrix.rows();
  const auto number_below = [&](double x) {
    index_t below = 0;
    double pivot = 1;
    for (index_t i = 0; i < size; ++i) {
      const double beside = i == 0 ? 0.0 : problem.off_diagonal[i - 1];
      pivot = problem.matrix(i, i) - x - beside * beside / pivot;
      if (pivot == 0) pivot = -1e-300;  // x is an eigenvalue of a leading block: count it as below
      below += pivot < 0 ? 1 : 0;
    }
    return below;
  };
  for (index_t k = static_cast<index_t>(blockIdx.x) * blockDim.x + threadIdx.x; k < size;
       k += static_cast<index_t>(gridDim.x) * blockDim.x) {
    double low = 0;
    double high = 2 * static_cast<double>(size);
    for (int step = 0; step < halvings; ++step) {
      const double middle = (low + high) / 2;
      (number_below(middle) > k ? high : low) = middle;
    }
    eigenvalues[k] = low;
  }
}

/// The eigenvalues of a positive semi-definite matrix, ascending, in units of *largest, its largest
/// diagonal element (if that is 0, the results have no meaning). Accurate to about 1e-16 of the
/// largest eigenvalue. `matrix` needs both halves and is overwritten. Scratch: 24 bytes a row. Two
/// launches a row.
inline void symmetric_eigenvalues(operation& call, const device_matrix<double>& matrix,
                                  const double* largest, const device_vector<double>& eigenvalues) {
  const index_t size = matrix.rows();
  auto* const off_diagonal = call.take<double>(size);
  auto* const scale = call.take<double>(size);
  auto* const product = call.take<double>(size);
  const tridiagonal_problem problem{matrix, off_diagonal, scale, product};
  call.launch(scale_square_kernel<double>, grid_size(size, 1), 256, 0, matrix, largest);
  const dim3 block(warp_lanes, eigen_warps);
  for (index_t k = 0; k + 1 < size; ++k) {
    const unsigned blocks = grid_size(size - k - 1, eigen_warps);
    call.launch(reflect_row_kernel<tridiagonal_problem>, blocks, block, 0, problem, k);
    call.launch(reflect_rest_kernel<tridiagonal_problem>, blocks, block, 0, problem, k);
  }
  call.launch(bisect_eigenvalues_kernel<tridiagonal_problem>, grid_size(size, 256), 256, 0, problem,
              eigenvalues);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda

#include "feaug/header_end.hpp"
