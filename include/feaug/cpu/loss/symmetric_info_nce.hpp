// InfoNCE in both directions: every query is to find its key, and every key its query.
#pragma once

#include <type_traits>

#include "feaug/core/operand.hpp"
#include "feaug/core/reduce.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/loss/two_view_contrast.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/symmetric_info_nce.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// The mean of info_nce(queries, keys) and info_nce(keys, queries), as CLIP trains (Radford et al.,
/// arXiv 2103.00020):
///     loss_i = ½ (−s_ii + log Σ_j exp s_ij) + ½ (−s_ii + log Σ_j exp s_ji),   s = cos(queries,
///     keys) / temperature.
///
/// queries and keys N × D, loss 1 element or N (reduce::none). `statistics`, if given, gets 2N
/// numbers for symmetric_info_nce_backward. Never holds an N × N matrix. NaN or ∞ in a row makes
/// NaN of every row loss that reads it.
template <class A, class B, class T = std::remove_const_t<A>>
requires element<T> && std::same_as<T, std::remove_const_t<B>>
void symmetric_info_nce(cpu_context& ctx, const matrix_view<A>& queries, const matrix_view<B>& keys,
                        std::type_identity_t<vector_view<compute_t<T>>> loss,
                        const std::type_identity_t<symmetric_info_nce_options<T>>& options = {},
                        std::type_identity_t<vector_view<compute_t<T>>> statistics = {}) {
  detail::two_view_call<T> call(ctx, "symmetric_info_nce",
                                detail::symmetric_info_nce_problem<T, memory_space::host>(
                                    stop_gradient(queries), stop_gradient(keys), options));
  check::loss_outputs("symmetric_info_nce", loss, call.outputs(), statistics,
                      call.statistics_size());
  call.prepare();
  call.forward(false);
  call.write(loss, statistics);
}

/// The same loss as a number, for mean and sum.
template <class A, class B, class T = std::remove_const_t<A>>
requires element<T> && std::same_as<T, std::remove_const_t<B>> compute_t<T> symmetric_info_nce(
    cpu_context& ctx, const matrix_view<A>& queries, const matrix_view<B>& keys,
    const std::type_identity_t<symmetric_info_nce_options<T>>& options = {}) {
  check::one_number("symmetric_info_nce", options.reduction);
  compute_t<T> loss{};
  symmetric_info_nce(ctx, queries, keys, scalar(loss), options);
  return loss;
}

/// The gradients from what symmetric_info_nce left in `statistics` (2N), for a `cotangent` of one
/// element or N (reduce::none). Logits are computed again.
template <element T>
void symmetric_info_nce_backward(
    cpu_context& ctx, const operand<T>& queries, const operand<T>& keys,
    std::type_identity_t<vector_view<const compute_t<T>>> statistics,
    std::type_identity_t<vector_view<const compute_t<T>>> cotangent,
    const std::type_identity_t<symmetric_info_nce_options<T>>& options = {}) {
  detail::two_view_call<T> call(
      ctx, "symmetric_info_nce_backward",
      detail::symmetric_info_nce_problem<T, memory_space::host>(queries, keys, options, cotangent));
  check::backward_inputs("symmetric_info_nce_backward", statistics, call.statistics_size(),
                         cotangent);
  call.prepare();
  call.restore(statistics);
  call.view_gradients();
  call.temperature_gradient();
}

/// Loss and gradients in one go, for a cotangent of options.gradient_scale. The gradient by a row
/// with norm ≤ 1e-12 is zero.
template <element T>
void symmetric_info_nce_with_gradients(
    cpu_context& ctx, const operand<T>& queries, const operand<T>& keys,
    std::type_identity_t<vector_view<compute_t<T>>> loss,
    const std::type_identity_t<symmetric_info_nce_options<T>>& options = {}) {
  detail::two_view_call<T> call(
      ctx, "symmetric_info_nce_with_gradients",
      detail::symmetric_info_nce_problem<T, memory_space::host>(queries, keys, options));
  check::loss_outputs("symmetric_info_nce_with_gradients", loss, call.outputs(), {},
                      call.statistics_size());
  call.prepare();
  call.forward(true);
  call.view_gradients();
  call.write(loss, {});
}

/// The same, with the loss as a number, for mean and sum.
template <element T>
compute_t<T> symmetric_info_nce_with_gradients(
    cpu_context& ctx, const operand<T>& queries, const operand<T>& keys,
    const std::type_identity_t<symmetric_info_nce_options<T>>& options = {}) {
  check::one_number("symmetric_info_nce_with_gradients", options.reduction);
  compute_t<T> loss{};
  symmetric_info_nce_with_gradients(ctx, queries, keys, scalar(loss), options);
  return loss;
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
