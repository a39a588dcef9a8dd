// l2_normalize on a GPU; see feaug/augment/l2_normalize.hpp for what it computes.
#pragma once

#include <string_view>
#include <type_traits>

#include "feaug/augment/l2_normalize.hpp"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/pointers.cuh"
#include "feaug/cuda/core/quads.cuh"
#include "feaug/cuda/core/row_norms.cuh"
#include "feaug/cuda/core/unit_backward.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cuda {

/// out_i = factor[i] · x_i, rounded once.
template <element T>
struct scale_rows {
  device_matrix<const T> x;
  const double* factor;
  device_matrix<T> out;

  __device__ void operator()(const quad& q) const {
    compute_t<T> values[4];
    load_quad(x.row(q.row), q, values);
    for (int lane = 0; lane < 4; ++lane) {
      values[lane] = static_cast<compute_t<T>>(static_cast<double>(values[lane]) * factor[q.row]);
    }
    store_quad(out.row(q.row), q, values);
  }
};

}  // namespace cuda

/// As on the CPU, to the last bit. Scratch: 8 bytes a row.
template <element T>
void l2_normalize(cuda_context& ctx, device_matrix<const std::type_identity_t<T>> x,
                  device_matrix<T> out, const l2_normalize_options& options = {}) {
  constexpr std::string_view op = "l2_normalize";
  check::l2_normalize_arguments<T>(x, out, options);
  if (x.empty()) return;
  cuda::on_device(op, "x", x);
  cuda::on_device(op, "out", out);
  cuda::operation call(ctx, op);
  auto* factor = call.take<double>(x.rows());
  cuda::row_norms(call, x, cuda::norm_output::inverse, options.eps, factor);
  cuda::for_each_quad(call, x.rows(), x.cols(), {}, cuda::scale_rows<T>{x, factor, out});
}

/// As on the CPU. Scratch: 8 bytes a row.
template <element T>
void l2_normalize_backward(cuda_context& ctx, const operand<T, 2, memory_space::device>& x,
                           device_matrix<const std::type_identity_t<T>> grad_out,
                           const l2_normalize_options& options = {}) {
  constexpr std::string_view op = "l2_normalize_backward";
  check::l2_normalize_backward_arguments<T>(x, grad_out, options);
  if (x.value.empty() || !x.wants_gradient()) return;
  cuda::on_device(op, "x", x);
  cuda::on_device(op, "grad_out", grad_out);
  cuda::operation call(ctx, op);
  auto* inverse = call.take<double>(x.value.rows());
  cuda::row_norms(call, x.value, cuda::norm_output::inverse, options.eps, inverse);
  cuda::unit_backward(call, x, inverse, options.eps, cuda::element_gradient<T>{grad_out});
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
