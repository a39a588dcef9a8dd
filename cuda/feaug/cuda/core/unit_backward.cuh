// From the gradient with respect to unit rows to the gradient with respect to the rows.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/core/element.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/core/warps.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda::inline FEAUG_CUBLAS_NAMESPACE {

/// A matrix that holds the gradient with respect to unit rows.
template <element T>
struct element_gradient {
  device_matrix<const T> gradient;

  __device__ double operator()(index_t i, index_t j) const {
    return static_cast<double>(load(gradient(i, j)));
  }
};

/// Overwrites element (i, j) of x's gradient, or accumulates into it.
template <element T>
__device__ void put_element(const operand<T, 2, memory_space::device>& x, index_t i, index_t j,
                            compute_t<T> gradient) {
  T& to = x.gradient(i, j);
  to = store<T>(x.mode == gradient_mode::overwrite ? gradient : load(to) + gradient);
}

// The gradient with respect to x from that with respect to its unit rows. One warp per row. Limited
// by memory bandwidth: reads x and the gradient twice (once if `inverse` is null) and writes cols
// elements a row. x's gradient may be the memory that `gradient` reads: a lane writes only elements
// that it alone reads, after all lanes have read the row once. (Without a minimum of 3 blocks,
// ptxas would use fewer registers on sm_80, and spill.) Registers: at most 96.
template <element T, class Gradient>
__global__ void __launch_bounds__(256, 3)
    unit_backward_kernel(operand<T, 2, memory_space::device> x, const double* inverse, double eps,
                         Gradient gradient) {
  const index_t cols = x.value.cols();
  const int lane = static_cast<int>(threadIdx.x);
  for (index_t i = static_cast<index_t>(blockIdx.x) * blockDim.y + threadIdx.y; i < x.value.rows();
       i += static_cast<index_t>(gridDim.x) * blockDim.y) {
    // Without inverse norms, the rows were not normalised.
    if (inverse == nullptr) {
      for (index_t j = lane; j < cols; j += warp_lanes)
        put_element(x, i, j, static_cast<compute_t<T>>(gradient(i, j)));
      continue;
    }
    const T* const row = x.value.row(i);
    const double factor = inverse[i];
    double along = 0;
    for (index_t j = lane; j < cols; j += warp_lanes)
      along += static_cast<double>(load(row[j])) * factor * gradient(i, j);
    along = warp_sum(along);
    const bool no_direction = has_no_direction(factor, eps);
    for (index_t j = lane; j < cols; j += warp_lanes) {
      const double unit = static_cast<double>(load(row[j])) * factor;
      const double by_row = no_direction ? 0.0 : through_unit(gradient(i, j), unit, along, factor);
      put_element(x, i, j, static_cast<compute_t<T>>(by_row));
    }
  }
}

/// From gradient(i, j), the gradient with respect to unit(x), writes the gradient with respect to x
/// if x wants one; it is zero for rows of norm ≤ eps. `inverse` holds 1 / max(‖x_i‖, eps). If it is
/// null, x was not normalised, and the gradient passes unchanged.
template <element T, class Gradient>
void unit_backward(const operation& call, const operand<T, 2, memory_space::device>& x,
                   const double* inverse, double eps, const Gradient& gradient) {
  if (!x.wants_gradient() || x.value.empty()) return;
  const dim3 block(warp_lanes, 8);
  call.launch(unit_backward_kernel<T, Gradient>, grid_size(x.value.rows(), block.y), block, 0, x,
              inverse, eps, gradient);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda

#include "feaug/header_end.hpp"
