// The sigmoid loss: of every pair of rows alone, do they belong together?
#pragma once

#include <string_view>
#include <type_traits>

#include "feaug/core/any_context.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/reduce.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/loss_verbs.hpp"
#include "feaug/loss/row_reduction.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Options of sigmoid. T is the element type of the features.
template <element T, memory_space Space = memory_space::host>
struct sigmoid_options {
  /// Multiplies the cosines (1 / temperature in other losses).
  double scale = 10;
  /// Is added to the logits. Where it begins at −10, N − 1 negatives a row do not swamp the start.
  double bias = -10;
  /// mean and sum give one number, none a loss a row of a.
  reduce reduction = reduce::mean;
  /// Whether rows are divided by their norms first.
  bool normalize = true;
  /// A scale of one element to use in place of `scale`, with its gradient.
  operand<compute_t<T>, 1, Space> learnable_scale = {};
  /// A bias of one element to use in place of `bias`, with its gradient.
  operand<compute_t<T>, 1, Space> learnable_bias = {};
  /// Multiplies every gradient, not the loss: a loss scaler, the share of a micro-batch.
  double gradient_scale = 1;
  /// N weights that multiply the row losses and their gradients. The mean still divides by N.
  vector_view<const compute_t<T>, Space> row_weights = {};
};

namespace detail {

/// Checks a call's arguments; how its rows are reduced.
template <element T, memory_space S>
row_reduction<compute_t<T>, S> sigmoid_arguments(
    std::string_view op, const operand<T, 2, S>& a, const operand<T, 2, S>& b,
    const sigmoid_options<T, S>& options, const vector_view<const compute_t<T>, S>& cotangent) {
  check::two_views(op, "a", a, "b", b);
  check::number(op, "scale", options.scale, options.learnable_scale, check::finite);
  check::number(op, "bias", options.bias, options.learnable_bias, check::finite);
  return reduction_of<T>(op, options, a.value.rows(), cotangent);
}

/// A pair that belongs together, with logit s = scale · cosine + bias: −log σ(s), and what pulls
/// its rows to each other, −∂loss/∂s = σ(−s).
struct matching_pair {
  double loss;
  double pull;

  FEAUG_HD matching_pair(double cosine, double scale, double bias) {
    const double away = -(scale * cosine + bias);
    loss = softplus(away);
    pull = sigmoid(away);
  }
  /// The pair's part of ∂L/∂scale and ∂L/∂bias, where its loss weighs `weight` in L.
  [[nodiscard]] FEAUG_HD double by_scale(double weight, double cosine) const {
    return -weight * pull * cosine;
  }
  [[nodiscard]] FEAUG_HD double by_bias(double weight) const { return -weight * pull; }
};

/// A validated call, see loss_verbs.hpp. Its stop_gradients() makes scale and bias constants.
template <class Context, element T>
struct sigmoid_call {
  static_assert(is_included<Context>,
                "include feaug/cpu/loss/sigmoid.hpp or feaug/cuda/loss/sigmoid.cuh");
};

}  // namespace detail

/// The sigmoid loss (Zhai et al., SigLIP, arXiv 2303.15343), with s = scale · cos(a, b) + bias:
///     loss_i = −log σ(s_ii) − Σ_{j≠i} log σ(−s_ij).
///
/// a and b N × D, loss 1 element or N (reduce::none). The gradient by s_ij is σ(s_ij), by s_ii
/// −σ(−s_ii). Never holds an N × N matrix. NaN or ∞ in a row makes NaN of every row loss that reads
/// it. On a GPU a learnable scale or bias that is not finite is not refused.
template <any_context Context, class A, class B, class T = std::remove_const_t<A>>
requires same_element<A, B>
void sigmoid(Context& ctx, const matrix_view<A, Context::space>& a,
             const matrix_view<B, Context::space>& b, loss_destination<Context, T> loss,
             const std::type_identity_t<sigmoid_options<T, Context::space>>& options = {}) {
  constexpr std::string_view op = "sigmoid";
  detail::sigmoid_call<Context, T> call(ctx, op, stop_gradient(a), stop_gradient(b), options);
  call.stop_gradients();
  detail::run_loss(ctx, op, call, loss);
}

/// The same loss as a number, for mean and sum.
template <host_context Context, class A, class B, class T = std::remove_const_t<A>>
requires same_element<A, B> compute_t<T> sigmoid(
    Context& ctx, const matrix_view<A>& a, const matrix_view<B>& b,
    const std::type_identity_t<sigmoid_options<T>>& options = {}) {
  return detail::returned<T>("sigmoid", options.reduction,
                             [&](auto loss) { sigmoid(ctx, a, b, loss, options); });
}

/// The gradients for a `cotangent` of one element or N (reduce::none). Needs no statistics: a
/// pair's gradient is a matter of its own logit, which is computed again.
template <any_context Context, element T>
void sigmoid_backward(
    Context& ctx, const operand<T, 2, Context::space>& a, const operand<T, 2, Context::space>& b,
    loss_source<Context, T> cotangent,
    const std::type_identity_t<sigmoid_options<T, Context::space>>& options = {}) {
  constexpr std::string_view op = "sigmoid_backward";
  detail::sigmoid_call<Context, T> call(ctx, op, a, b, options, cotangent);
  detail::run_backward(op, call, cotangent);
}

/// Loss and gradients in one go, for a cotangent of options.gradient_scale. With b stopped one pass
/// over the logits gives both. The gradient by a row with norm ≤ 1e-12 is zero.
template <any_context Context, element T>
void sigmoid_with_gradients(
    Context& ctx, const operand<T, 2, Context::space>& a, const operand<T, 2, Context::space>& b,
    loss_destination<Context, T> loss,
    const std::type_identity_t<sigmoid_options<T, Context::space>>& options = {}) {
  constexpr std::string_view op = "sigmoid_with_gradients";
  detail::sigmoid_call<Context, T> call(ctx, op, a, b, options);
  detail::run_loss(ctx, op, call, loss);
}

/// The same, with the loss as a number, for mean and sum.
template <host_context Context, element T>
compute_t<T> sigmoid_with_gradients(Context& ctx, const operand<T>& a, const operand<T>& b,
                                    const std::type_identity_t<sigmoid_options<T>>& options = {}) {
  return detail::returned<T>("sigmoid_with_gradients", options.reduction,
                             [&](auto loss) { sigmoid_with_gradients(ctx, a, b, loss, options); });
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
