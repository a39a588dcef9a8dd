// The hypersphere loss: pulls the views of a sample together (alignment) and spreads all samples
// over the sphere (uniformity).
#pragma once

#include "feaug/header_begin.hpp"

#include <string_view>
#include <type_traits>

#include "feaug/core/any_context.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/reduce.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/loss_verbs.hpp"
#include "feaug/loss/row_reduction.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Options of hypersphere, named as in lightly.
struct hypersphere_options {
  /// Decay rate of a pair's weight in the uniformity with its squared distance; above 0.
  double t = 1;
  /// The weight of the uniformity.
  double lam = 1;
  /// Exponent of the distances in the alignment; above 0.
  double alpha = 2;
  /// Multiplies every gradient, not the loss: for a loss scaler.
  double gradient_scale = 1;
};

namespace detail {

/// Checks a call's arguments. Returns the reduction: a sum of N alignment terms and two uniformity
/// terms.
template <element T, memory_space S>
row_reduction<compute_t<T>, S> hypersphere_arguments(std::string_view op, const operand<T, 2, S>& a,
                                                     const operand<T, 2, S>& b,
                                                     const hypersphere_options& options,
                                                     const loss_vectors<compute_t<T>, S>& vectors) {
  check::two_batches(op, "a", a, "b", b);
  check::positive(op, "t", options.t);
  check::finite(op, "lam", options.lam);
  check::positive(op, "alpha", options.alpha);
  check::loss_memory(op, options, vectors).uses("a", a).uses("b", b).require_apart();
  return reduction_of<T>(op, options, a.value.rows() + 2, vectors);
}

/// One call of the loss, see loss_verbs.hpp.
template <class Context, element T>
struct hypersphere_call {
  static_assert(is_included<Context>,
                "include feaug/cpu/loss/hypersphere.hpp or feaug/cuda/loss/hypersphere.cuh");
};

}  // namespace detail

/// Alignment and uniformity (Wang and Isola, arXiv 2005.10242), as in lightly's HypersphereLoss:
///     L = mean_i ‖unit(a_i) − unit(b_i)‖^alpha + lam / 2 · (U(a) + U(b)),
///     U(x) = log mean_{i<j} exp(−t · ‖unit(x_i) − unit(x_j)‖²).
///
/// a, b: N × D, N ≥ 2. loss: 1 element. Squared distances in U are computed as 2 − 2·cos, so that a
/// zero row is orthogonal to all other rows of its view (in lightly it has distance 1). Never
/// stores an N × N matrix. NaN or ∞ anywhere makes the loss NaN.
template <any_context Context, class A, class B, class T = std::remove_const_t<A>>
requires same_element<A, B>
void hypersphere(Context& ctx, const matrix_view<A, Context::space>& a,
                 const matrix_view<B, Context::space>& b, loss_destination<Context, T> loss,
                 const hypersphere_options& options = {}) {
  constexpr std::string_view op = "hypersphere";
  detail::hypersphere_call<Context, T> call(ctx, op, stop_gradient(a), stop_gradient(b), options,
                                            {.loss = loss});
  detail::run_loss(ctx, op, call, loss);
}

/// The same loss, returned as a number.
template <host_context Context, class A, class B, class T = std::remove_const_t<A>>
requires same_element<A, B> compute_t<T> hypersphere(Context& ctx, const matrix_view<A>& a,
                                                     const matrix_view<B>& b,
                                                     const hypersphere_options& options = {}) {
  return detail::returned<T>("hypersphere", reduce::sum,
                             [&](auto loss) { hypersphere(ctx, a, b, loss, options); });
}

/// The gradients for a `cotangent` of one element. Needs no statistics: the softmax is recomputed.
template <any_context Context, element T>
void hypersphere_backward(Context& ctx, const operand<T, 2, Context::space>& a,
                          const operand<T, 2, Context::space>& b, loss_source<Context, T> cotangent,
                          const hypersphere_options& options = {}) {
  constexpr std::string_view op = "hypersphere_backward";
  detail::hypersphere_call<Context, T> call(ctx, op, a, b, options, {.cotangent = cotangent});
  check::has_size(op, "cotangent", cotangent, 1, "the elements of the loss");
  call.run({});
}

/// Loss and gradients in one call, for a cotangent of options.gradient_scale. For every alpha, the
/// gradient of the alignment is 0 for unit rows that are nearer than 2⁻⁵⁰. The whole gradient with
/// respect to a row of norm ≤ 1e-12 is 0.
template <any_context Context, element T>
void hypersphere_with_gradients(Context& ctx, const operand<T, 2, Context::space>& a,
                                const operand<T, 2, Context::space>& b,
                                loss_destination<Context, T> loss,
                                const hypersphere_options& options = {}) {
  constexpr std::string_view op = "hypersphere_with_gradients";
  detail::hypersphere_call<Context, T> call(ctx, op, a, b, options, {.loss = loss});
  detail::run_loss(ctx, op, call, loss);
}

/// The same, with the loss returned as a number.
template <host_context Context, element T>
compute_t<T> hypersphere_with_gradients(Context& ctx, const operand<T>& a, const operand<T>& b,
                                        const hypersphere_options& options = {}) {
  return detail::returned<T>("hypersphere_with_gradients", reduce::sum, [&](auto loss) {
    hypersphere_with_gradients(ctx, a, b, loss, options);
  });
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
