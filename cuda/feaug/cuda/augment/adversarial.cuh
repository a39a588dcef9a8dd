// CUDA implementation of adversarial_step and adversarial_backward: move features in the direction
// that increases a loss, within a ball around the originals.
#pragma once

#include "feaug/header_begin.hpp"

#include <cmath>

#include "feaug/augment/adversarial.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/augment/elementwise.cuh"
#include "feaug/cuda/augment/noise.cuh"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/core/pointers.cuh"
#include "feaug/cuda/core/vec4.cuh"
#include "feaug/cuda/core/warps.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cuda::inline FEAUG_CUBLAS_NAMESPACE {

/// ‖row‖₂ by one warp; every lane gets it.
template <element T>
__device__ double warp_row_norm(const T* row, index_t cols, int lane) {
  double squares = 0;
  for (index_t j = lane; j < cols; j += warp_lanes) {
    const auto value = static_cast<double>(load(row[j]));
    squares += value * value;
  }
  return row_norm_of(warp_sum(squares), row, cols);
}

// One adversarial step. One warp per row. Limited by memory bandwidth: reads the original and the
// gradient three times and the current row twice (each once more with renormalize), and writes the
// row once. `out` may be one of the inputs: a lane writes only elements that it alone reads, after
// all lanes have read the row. Registers: at most 80.
template <element T>
__global__ void __launch_bounds__(256, 3)
    adversarial_step_kernel(device_matrix<const T> original, device_matrix<const T> current,
                            device_matrix<const T> gradient, adversarial_options options,
                            device_matrix<T> out) {
  const index_t cols = original.cols();
  const int lane = static_cast<int>(threadIdx.x);
  for (index_t i = static_cast<index_t>(blockIdx.x) * blockDim.y + threadIdx.y; i < original.rows();
       i += static_cast<index_t>(gridDim.x) * blockDim.y) {
    const T* const from = original.row(i);
    const feaug::detail::adversarial_row row(options, warp_row_norm(gradient.row(i), cols, lane),
                                             warp_row_norm(from, cols, lane));
    const auto offset = [&](index_t j) {
      return row.offset(static_cast<double>(load(from[j])),
                        static_cast<double>(load(current(i, j))),
                        static_cast<double>(load(gradient(i, j))));
    };
    double squares = 0;
    for (index_t j = lane; j < cols; j += warp_lanes) {
      const double moved = offset(j);
      squares += moved * moved;
    }
    const double share = row.within_ball(std::sqrt(warp_sum(squares)));
    double factor = 1;
    if (options.renormalize) {
      squares = 0;
      for (index_t j = lane; j < cols; j += warp_lanes) {
        const double moved = static_cast<double>(load(from[j])) + share * offset(j);
        squares += moved * moved;
      }
      factor = inverse_norm(std::sqrt(warp_sum(squares)), default_norm_eps);
    }
    for (index_t j = lane; j < cols; j += warp_lanes) {
      const double moved = static_cast<double>(load(from[j])) + share * offset(j);
      out(i, j) = store<T>(static_cast<compute_t<T>>(factor * moved));
    }
  }
}

}  // namespace cuda

template <>
struct detail::adversarial_on<cuda_context> {
  template <element T>
  static void step(cuda_context& ctx, const device_matrix<const T>& original,
                   const device_matrix<const T>& current, const device_matrix<const T>& gradient,
                   const adversarial_options& options, const device_matrix<T>& out) {
    const cuda::operation call(ctx, "adversarial_step");
    const dim3 block(cuda::warp_lanes, 8);
    call.launch(cuda::adversarial_step_kernel<T>, cuda::grid_size(out.rows(), block.y), block, 0,
                original, current, gradient, options, out);
  }

  template <element T>
  static void backward(cuda_context& ctx, const operand<T, 2, memory_space::device>& original,
                       const device_matrix<const T>& grad_out, const adversarial_options& options) {
    const cuda::operation call(ctx, "adversarial_backward");
    const bool through = options.gradient == adversarial_gradient::straight_through;
    cuda::for_each_vec4(
        call, original.value.rows(), original.value.cols(), {},
        cuda::pass_gradient<T>{original, grad_out, static_cast<compute_t<T>>(through ? 1 : 0)});
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
