// How a GPU carries out uniformity.
#pragma once

#include <cmath>
#include <string_view>

#include "feaug/core/element.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/core/pointers.cuh"
#include "feaug/cuda/core/warps.cuh"
#include "feaug/cuda/loss/contrast.cuh"
#include "feaug/cuda/loss/row_losses.cuh"
#include "feaug/cuda/loss/row_stack.cuh"
#include "feaug/diagnostics/uniformity.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cuda {

// One block.
template <class Number>
__global__ void __launch_bounds__(sum_threads)
    uniformity_kernel(const Number* log_sums, index_t rows, double t, device_vector<Number> to) {
  struct shared_type {
    double largest[sum_threads / warp_lanes];
  };
  FEAUG_SHARED(shared_type, shared);
  const int thread = static_cast<int>(threadIdx.x);
  double largest = -static_cast<double>(INFINITY);
  for (index_t i = thread; i < rows; i += sum_threads)
    largest = log_sums[i] > largest ? log_sums[i] : largest;
  largest = warp_max(largest);
  if (thread % warp_lanes == 0) shared.largest[thread / warp_lanes] = largest;
  __syncthreads();
  largest = warp_max(shared.largest[thread % warp_lanes]);
  const double sum = block_sum(rows, [&](index_t i) { return exp(log_sums[i] - largest); });
  if (thread == 0) to[0] = feaug::detail::uniformity_of(largest, sum, t, rows);
}

}  // namespace cuda

/// Scratch: a packed copy of x, 16 bytes a row, and what soft_max_pass takes.
template <>
struct detail::uniformity_on<cuda_context> {
  template <element T>
  static void run(cuda_context& ctx, const device_matrix<const T>& x,
                  const device_vector<double>& to, const uniformity_options& options) {
    constexpr std::string_view op = "uniformity";
    cuda::operation call(ctx, op);
    const index_t rows = x.rows();
    const auto stack = cuda::make_stack<T>(call, true, x, {}, false);
    auto* const log_sums = call.take<double>(rows);
    cuda::soft_max_pass<T>(ctx, op,
                           {.rows = stack,
                            .columns = stack,
                            .positives = stack,
                            .pairs = {.self = true},
                            .positives_are_columns = false,
                            .cols = x.cols(),
                            .temperature = {.given = {.option = 1 / (2 * options.t)}}},
                           {.log_sum = log_sums});
    call.launch(cuda::uniformity_kernel<double>, 1, cuda::sum_threads, 0, log_sums, rows, options.t,
                to);
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
