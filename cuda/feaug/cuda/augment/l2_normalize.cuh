// CUDA implementation of l2_normalize: divides every row by its L2 norm, forward and backward.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/augment/l2_normalize.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/l2_norm.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/core/pointers.cuh"
#include "feaug/cuda/core/unit_backward.cuh"
#include "feaug/cuda/core/vec4.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cuda::inline FEAUG_CUBLAS_NAMESPACE {

/// out_i = factor[i] · x_i, rounded once.
template <element T>
struct scale_rows {
  device_matrix<const T> x;
  const double* factor;
  device_matrix<T> out;

  __device__ void operator()(const vec4& q) const {
    compute_t<T> values[4];
    load_vec4(x.row(q.row), q, values);
    for (int lane = 0; lane < 4; ++lane) {
      values[lane] = static_cast<compute_t<T>>(static_cast<double>(values[lane]) * factor[q.row]);
    }
    store_vec4(out.row(q.row), q, values);
  }
};

}  // namespace cuda

/// Scratch: 8 bytes a row.
template <>
struct detail::l2_normalize_on<cuda_context> {
  /// Bitwise equal to the CPU's results.
  template <element T>
  static void forward(cuda_context& ctx, const device_matrix<const T>& x,
                      const device_matrix<T>& out, const l2_normalize_options& options) {
    cuda::operation call(ctx, "l2_normalize");
    auto* factor = call.take<double>(x.rows());
    cuda::row_norms(call, x, cuda::norm_output::inverse, options.eps, factor);
    cuda::for_each_vec4(call, x.rows(), x.cols(), {}, cuda::scale_rows<T>{x, factor, out});
  }

  template <element T>
  static void backward(cuda_context& ctx, const operand<T, 2, memory_space::device>& x,
                       const device_matrix<const T>& grad_out,
                       const l2_normalize_options& options) {
    cuda::operation call(ctx, "l2_normalize_backward");
    auto* inverse = call.take<double>(x.value.rows());
    cuda::row_norms(call, x.value, cuda::norm_output::inverse, options.eps, inverse);
    cuda::unit_backward(call, x, inverse, options.eps, cuda::element_gradient<T>{grad_out});
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
