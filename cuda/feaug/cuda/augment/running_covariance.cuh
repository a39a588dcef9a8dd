// CUDA implementation of update_covariance: running mean, and covariance or variances, of the
// features.
#pragma once

#include "feaug/header_begin.hpp"

#include <cmath>

#include "feaug/augment/running_covariance.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/cholesky.cuh"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/core/pointers.cuh"
#include "feaug/cuda/core/square_tiles.cuh"
#include "feaug/cuda/core/warps.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

using device_running_covariance = running_covariance<memory_space::device>;
using device_running_variance = running_variance<memory_space::device>;

namespace cuda::inline FEAUG_CUBLAS_NAMESPACE {

/// The share of a batch in a state. The state's count is read when the kernel runs.
struct share_rule {
  bool moving;
  double momentum;
  const index_t* count;
  index_t rows;

  [[nodiscard]] __device__ feaug::detail::batch_share now() const {
    return {moving, momentum, *count, rows};
  }
};

struct plain_term {
  __device__ double operator()(double value, index_t /*j*/) const { return value; }
};
struct squared_distance {
  const double* means;
  __device__ double operator()(double value, index_t j) const {
    return (value - means[j]) * (value - means[j]);
  }
};

// means[j] = the mean over rows of term(x_ij, j). A block computes 32 columns; each of its 32 warps
// sums every 32nd row, and the partial sums are added in order. Limited by memory bandwidth: reads
// x once. Shared memory: 8.3 KiB.
template <element T, class Term>
__global__ void __launch_bounds__(1024)
    column_means_kernel(device_matrix<const T> x, Term term, double* means) {
  FEAUG_SHARED(tile_of<double>, sums);
  const int lane = static_cast<int>(threadIdx.x);
  const int part = static_cast<int>(threadIdx.y);
  for (index_t first = static_cast<index_t>(blockIdx.x) * square_tile; first < x.cols();
       first += static_cast<index_t>(gridDim.x) * square_tile) {
    const index_t j = first + lane;
    double sum = 0;
    if (j < x.cols()) {
      for (index_t i = part; i < x.rows(); i += square_tile)
        sum += term(static_cast<double>(load(x(i, j))), j);
    }
    sums.element[part][lane] = sum;
    __syncthreads();
    if (part == 0 && j < x.cols()) {
      double total = 0;
      for (int p = 0; p < square_tile; ++p) total += sums.element[p][lane];
      means[j] = total / static_cast<double>(x.rows());
    }
    __syncthreads();
  }
}

/// means[j] = the mean over rows of term(x_ij, j).
template <element T, class Term>
void column_means(const operation& call, const device_matrix<const T>& x, const Term& term,
                  double* means) {
  call.launch(column_means_kernel<T, Term>, grid_size(x.cols(), square_tile),
              dim3(square_tile, square_tile), 0, x, term, means);
}

template <element T>
struct centred_columns {
  device_matrix<const T> x;
  const double* means;
  __device__ double operator()(index_t i, index_t j) const {
    return static_cast<double>(load(x(i, j))) - means[j];
  }
};

// Merges the batch's covariance into the state's. A block computes one 32 × 32 tile of the lower
// half from all rows and writes it to both halves; blocks of the upper half return. Limited by FLOP
// in double: rows·cols². Shared memory: 16.5 KiB. Registers: at most 72.
template <element T>
__global__ void __launch_bounds__(square_threads)
    merge_covariance_kernel(device_matrix<const T> x, const double* means, share_rule rule,
                            device_running_covariance state) {
  const index_t first_row = static_cast<index_t>(blockIdx.y) * square_tile;
  const index_t first_column = static_cast<index_t>(blockIdx.x) * square_tile;
  if (first_column > first_row) return;
  const feaug::detail::batch_share share = rule.now();
  double sums[square_each] = {};
  add_gram_tile(centred_columns<T>{x, means}, x.rows(), x.cols(), first_row, first_column, sums);
  for_each_of_tile([&](int e, int i, int j) {
    const index_t row = first_row + i;
    const index_t column = first_column + j;
    if (row >= x.cols() || column > row) return;
    const bool is_first = share.weight == 1;  // the state is not read then, it may hold anything
    const double shift_i = is_first ? 0 : means[row] - state.mean[row];
    const double shift_j = is_first ? 0 : means[column] - state.mean[column];
    const double merged = share.covariance(
        state.covariance(row, column), sums[e] / static_cast<double>(x.rows()), shift_i, shift_j);
    state.covariance(row, column) = merged;
    state.covariance(column, row) = merged;
  });
}

// Updates the mean and the count, and computes the mean variance. One warp. Limited by latency:
// cols / 32 steps.
template <class Count>
__global__ void __launch_bounds__(warp_lanes)
    finish_covariance_kernel(const double* means, share_rule rule, device_running_covariance state,
                             double* mean_variance, Count* count) {
  const feaug::detail::batch_share share = rule.now();
  const index_t cols = state.mean.size();
  const auto lane = static_cast<index_t>(threadIdx.x);
  double sum = 0;
  for (index_t j = lane; j < cols; j += warp_lanes) {
    state.mean[j] = share.mean(state.mean[j], means[j]);
    sum += state.covariance(j, j);
  }
  sum = warp_sum(sum);
  __syncwarp();  // every lane has read the count
  if (lane != 0) return;
  *mean_variance = sum / static_cast<double>(cols);
  *count += rule.rows;
}

// Merges the batch into the state's variance, mean, deviation and count. One warp. Limited by
// latency: 2·cols / 32 steps.
template <class Count>
__global__ void __launch_bounds__(warp_lanes)
    merge_variance_kernel(const double* means, const double* squares, share_rule rule,
                          device_running_variance state, double ridge, Count* count) {
  const feaug::detail::batch_share share = rule.now();
  const index_t cols = state.mean.size();
  const auto lane = static_cast<index_t>(threadIdx.x);
  double sum = 0;
  for (index_t j = lane; j < cols; j += warp_lanes) {
    const double shift = share.weight == 1 ? 0 : means[j] - state.mean[j];
    const double merged = share.covariance(state.variance[j], squares[j], shift, shift);
    state.variance[j] = merged;
    state.mean[j] = share.mean(state.mean[j], means[j]);
    sum += merged;
  }
  const double added = ridge * (warp_sum(sum) / static_cast<double>(cols));
  for (index_t j = lane; j < cols; j += warp_lanes)
    state.deviation[j] = std::sqrt(state.variance[j] + added);
  __syncwarp();  // every lane has read the count
  if (lane == 0) *count += rule.rows;
}

/// The ridge as a share of the mean variance, read on the device.
struct relative_ridge {
  double ridge;
  const double* mean_variance;
  __device__ double operator()() const { return ridge * *mean_variance; }
};

}  // namespace cuda

template <>
struct detail::running_covariance_on<cuda_context> {
  /// Scratch: 8 bytes a column.
  template <element T>
  static void update(cuda_context& ctx, const device_running_covariance& state,
                     const device_matrix<const T>& x, const covariance_options& options) {
    cuda::operation call(ctx, "update_covariance");
    const index_t cols = x.cols();
    auto* means = call.take<double>(cols);
    auto* mean_variance = call.take<double>(1);
    const cuda::share_rule rule{options.momentum.has_value(), options.momentum.value_or(0),
                                state.count, x.rows()};
    cuda::column_means(call, x, cuda::plain_term{}, means);
    const unsigned tiles = cuda::grid_size(cols, cuda::square_tile);
    call.launch(cuda::merge_covariance_kernel<T>, dim3(tiles, tiles), cuda::square_threads, 0, x,
                means, rule, state);
    call.launch(cuda::finish_covariance_kernel<index_t>, 1, cuda::warp_lanes, 0, means, rule, state,
                mean_variance, state.count);
    cuda::cholesky(call, state.covariance, cuda::relative_ridge{options.ridge, mean_variance},
                   state.factor);
  }

  /// Scratch: 16 bytes a column.
  template <element T>
  static void update(cuda_context& ctx, const device_running_variance& state,
                     const device_matrix<const T>& x, const covariance_options& options) {
    cuda::operation call(ctx, "update_covariance");
    auto* means = call.take<double>(x.cols());
    auto* squares = call.take<double>(x.cols());
    const cuda::share_rule rule{options.momentum.has_value(), options.momentum.value_or(0),
                                state.count, x.rows()};
    cuda::column_means(call, x, cuda::plain_term{}, means);
    cuda::column_means(call, x, cuda::squared_distance{means}, squares);
    call.launch(cuda::merge_variance_kernel<index_t>, 1, cuda::warp_lanes, 0, means, squares, rule,
                state, options.ridge, state.count);
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
