// nt_xent on a GPU; see feaug/cpu/loss/nt_xent.hpp for what it computes.
#pragma once

#include <concepts>
#include <string_view>
#include <type_traits>

#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/loss/two_view_contrast.cuh"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/nt_xent.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

template <element T>
using device_nt_xent_options = nt_xent_options<T, memory_space::device>;

/// The loss, as on the CPU, into one element or 2N of device memory. Scratch: packed copies of both
/// views, and what soft_max_pass takes.
template <class A, class B, class T = std::remove_const_t<A>>
requires element<T> && std::same_as<T, std::remove_const_t<B>>
void nt_xent(cuda_context& ctx, const device_matrix<A>& a, const device_matrix<B>& b,
             std::type_identity_t<device_vector<compute_t<T>>> loss,
             const std::type_identity_t<device_nt_xent_options<T>>& options = {},
             std::type_identity_t<device_vector<compute_t<T>>> statistics = {}) {
  constexpr std::string_view op = "nt_xent";
  cuda::two_view_call<T> call(ctx, op,
                              detail::nt_xent_problem<T, memory_space::device>(
                                  stop_gradient(a), stop_gradient(b), options));
  check::loss_outputs(op, loss, call.outputs(), statistics, call.statistics_size());
  cuda::on_device(op, "loss", loss);
  cuda::on_device(op, "statistics", statistics);
  call.prepare();
  call.forward(false, statistics);
  call.write(loss);
}

/// The gradients from what nt_xent left in `statistics` (2N), for a cotangent in device memory.
template <element T>
void nt_xent_backward(cuda_context& ctx, const operand<T, 2, memory_space::device>& a,
                      const operand<T, 2, memory_space::device>& b,
                      std::type_identity_t<device_vector<const compute_t<T>>> statistics,
                      std::type_identity_t<device_vector<const compute_t<T>>> cotangent,
                      const std::type_identity_t<device_nt_xent_options<T>>& options = {}) {
  constexpr std::string_view op = "nt_xent_backward";
  cuda::two_view_call<T> call(
      ctx, op, detail::nt_xent_problem<T, memory_space::device>(a, b, options, cotangent));
  check::backward_inputs(op, statistics, call.statistics_size(), cotangent);
  cuda::on_device(op, "statistics", statistics);
  call.prepare();
  call.restore(statistics);
  call.view_gradients();
}

/// Loss and gradients in one go, for a cotangent of options.gradient_scale.
template <element T>
void nt_xent_with_gradients(cuda_context& ctx, const operand<T, 2, memory_space::device>& a,
                            const operand<T, 2, memory_space::device>& b,
                            std::type_identity_t<device_vector<compute_t<T>>> loss,
                            const std::type_identity_t<device_nt_xent_options<T>>& options = {}) {
  constexpr std::string_view op = "nt_xent_with_gradients";
  cuda::two_view_call<T> call(ctx, op,
                              detail::nt_xent_problem<T, memory_space::device>(a, b, options));
  check::loss_outputs(op, loss, call.outputs(), {}, call.statistics_size());
  cuda::on_device(op, "loss", loss);
  call.prepare();
  call.forward(true, {});
  call.view_gradients();
  call.write(loss);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
