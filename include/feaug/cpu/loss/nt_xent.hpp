// NT-Xent: every row of two views is to find its other view among all rows of both.
#pragma once

#include <type_traits>

#include "feaug/core/operand.hpp"
#include "feaug/core/reduce.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/loss/two_view_contrast.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/nt_xent.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// NT-Xent (Chen et al., SimCLR, arXiv 2002.05709) over z = [a; b], 2N rows, positives i ↔ i + N, s
/// = cos(z, z) / temperature:
///     loss_i = −s_i,p(i) + log Σ_{j≠i} exp s_ij;   decoupled: j ≠ p(i) as well;
/// with positive_weighting −w_i s_i,p(i), w a constant.
///
/// a and b N × D, loss 1 element (mean or sum over 2N) or 2N (reduce::none; a's rows, then b's).
/// `statistics`, if given, gets 2N numbers for nt_xent_backward. Never holds a 2N × 2N matrix. NaN
/// or ∞ in a row makes NaN of every row loss, since all read it.
template <class A, class B, class T = std::remove_const_t<A>>
requires element<T> && std::same_as<T, std::remove_const_t<B>>
void nt_xent(cpu_context& ctx, const matrix_view<A>& a, const matrix_view<B>& b,
             std::type_identity_t<vector_view<compute_t<T>>> loss,
             const std::type_identity_t<nt_xent_options<T>>& options = {},
             std::type_identity_t<vector_view<compute_t<T>>> statistics = {}) {
  detail::two_view_call<T> call(
      ctx, "nt_xent",
      detail::nt_xent_problem<T, memory_space::host>(stop_gradient(a), stop_gradient(b), options));
  check::loss_outputs("nt_xent", loss, call.outputs(), statistics, call.statistics_size());
  call.prepare();
  call.forward(false);
  call.write(loss, statistics);
}

/// The same loss as a number, for mean and sum.
template <class A, class B, class T = std::remove_const_t<A>>
requires element<T> && std::same_as<T, std::remove_const_t<B>> compute_t<T> nt_xent(
    cpu_context& ctx, const matrix_view<A>& a, const matrix_view<B>& b,
    const std::type_identity_t<nt_xent_options<T>>& options = {}) {
  check::one_number("nt_xent", options.reduction);
  compute_t<T> loss{};
  nt_xent(ctx, a, b, scalar(loss), options);
  return loss;
}

/// The gradients from what nt_xent left in `statistics` (2N), for a `cotangent` of one element or
/// 2N (reduce::none). Logits are computed again.
template <element T>
void nt_xent_backward(cpu_context& ctx, const operand<T>& a, const operand<T>& b,
                      std::type_identity_t<vector_view<const compute_t<T>>> statistics,
                      std::type_identity_t<vector_view<const compute_t<T>>> cotangent,
                      const std::type_identity_t<nt_xent_options<T>>& options = {}) {
  detail::two_view_call<T> call(
      ctx, "nt_xent_backward",
      detail::nt_xent_problem<T, memory_space::host>(a, b, options, cotangent));
  check::backward_inputs("nt_xent_backward", statistics, call.statistics_size(), cotangent);
  call.prepare();
  call.restore(statistics);
  call.view_gradients();
  call.temperature_gradient();
}

/// Loss and gradients in one go, for a cotangent of options.gradient_scale. The gradient by a row
/// with norm ≤ 1e-12 is zero.
template <element T>
void nt_xent_with_gradients(cpu_context& ctx, const operand<T>& a, const operand<T>& b,
                            std::type_identity_t<vector_view<compute_t<T>>> loss,
                            const std::type_identity_t<nt_xent_options<T>>& options = {}) {
  detail::two_view_call<T> call(ctx, "nt_xent_with_gradients",
                                detail::nt_xent_problem<T, memory_space::host>(a, b, options));
  check::loss_outputs("nt_xent_with_gradients", loss, call.outputs(), {}, call.statistics_size());
  call.prepare();
  call.forward(true);
  call.view_gradients();
  call.write(loss, {});
}

/// The same, with the loss as a number, for mean and sum.
template <element T>
compute_t<T> nt_xent_with_gradients(cpu_context& ctx, const operand<T>& a, const operand<T>& b,
                                    const std::type_identity_t<nt_xent_options<T>>& options = {}) {
  check::one_number("nt_xent_with_gradients", options.reduction);
  compute_t<T> loss{};
  nt_xent_with_gradients(ctx, a, b, scalar(loss), options);
  return loss;
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
