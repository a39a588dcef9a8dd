// The sigmoid loss (SigLIP): a binary classification of every pair of rows, matching or not.
#pragma once

#include "feaug/header_begin.hpp"

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
  /// Added to the logits. An initial −10 keeps the N − 1 negatives per row from dominating the
  /// start of training.
  double bias = -10;
  /// mean and sum give one number, none gives one loss per row of a.
  reduce reduction = reduce::mean;
  /// Whether rows are divided by their L2 norms first.
  bool normalize = true;
  /// If given, a scale of one element that replaces `scale`, and its gradient.
  operand<compute_t<T>, 1, Space> learnable_scale = {};
  /// If given, a bias of one element that replaces `bias`, and its gradient.
  operand<compute_t<T>, 1, Space> learnable_bias = {};
  /// Multiplies every gradient, not the loss: for a loss scaler or the share of a micro-batch.
  double gradient_scale = 1;
  /// N weights that multiply the row losses and their gradients. The mean still divides by N.
  vector_view<const compute_t<T>, Space> row_weights = {};
};

namespace detail {

/// Checks a call's arguments. Returns how its row losses are reduced.
template <element T, memory_space S>
row_reduction<compute_t<T>, S> sigmoid_arguments(std::string_view op, const operand<T, 2, S>& a,
                                                 const operand<T, 2, S>& b,
                                                 const sigmoid_options<T, S>& options,
                                                 const loss_vectors<compute_t<T>, S>& vectors) {
  check::two_views(op, "a", a, "b", b);
  check::number(op, "scale", options.scale, options.learnable_scale, check::finite);
  check::number(op, "bias", options.bias, options.learnable_bias, check::finite);
  check::loss_memory(op, options, vectors).uses("a", a).uses("b", b).require_apart();
  return reduction_of<T>(op, options, a.value.rows(), vectors);
}

/// A matching pair with logit s = scale · cosine + bias: its loss −log σ(s), and the strength
/// −∂loss/∂s = σ(−s) with which its rows are pulled together.
struct matching_pair {
  double loss;
  double positive_gradient;

  FEAUG_HD matching_pair(double cosine, double scale, double bias) {
    const double away = -(scale * cosine + bias);
    loss = softplus(away);
    positive_gradient = sigmoid(away);
  }
  /// The pair's part of ∂L/∂scale and ∂L/∂bias, if its loss has weight `weight` in L.
  [[nodiscard]] FEAUG_HD double by_scale(double weight, double cosine) const {
    return -weight * positive_gradient * cosine;
  }
  [[nodiscard]] FEAUG_HD double by_bias(double weight) const { return -weight * positive_gradient; }
};

/// One call of the loss, see loss_verbs.hpp. Its stop_gradients() makes scale and bias constants.
template <class Context, element T>
struct sigmoid_call {
  static_assert(is_included<Context>,
                "include feaug/cpu/loss/sigmoid.hpp or feaug/cuda/loss/sigmoid.cuh");
};

}  // namespace detail

/// The sigmoid loss (Zhai et al., SigLIP, arXiv 2303.15343), with s = scale · cos(a, b) + bias:
///     loss_i = −log σ(s_ii) − Σ_{j≠i} log σ(−s_ij).
///
/// a, b: N × D. loss: 1 element or N (reduce::none). The gradient is σ(s_ij) with respect to s_ij,
/// j ≠ i, and −σ(−s_ii) with respect to s_ii. Never stores an N × N matrix. NaN or ∞ in a row makes
/// every row loss that reads it NaN. On a GPU, a learnable scale or bias is not checked for being
/// finite.
template <any_context Context, class A, class B, class T = std::remove_const_t<A>>
requires same_element<A, B>
void sigmoid(Context& ctx, const matrix_view<A, Context::space>& a,
             const matrix_view<B, Context::space>& b, loss_destination<Context, T> loss,
             const std::type_identity_t<sigmoid_options<T, Context::space>>& options = {}) {
  constexpr std::string_view op = "sigmoid";
  detail::sigmoid_call<Context, T> call(ctx, op, stop_gradient(a), stop_gradient(b), options,
                                        {.loss = loss});
  call.stop_gradients();
  detail::run_loss(ctx, op, call, loss);
}

/// The same loss, returned as a number; for mean and sum only.
template <host_context Context, class A, class B, class T = std::remove_const_t<A>>
requires same_element<A, B> compute_t<T> sigmoid(
    Context& ctx, const matrix_view<A>& a, const matrix_view<B>& b,
    const std::type_identity_t<sigmoid_options<T>>& options = {}) {
  return detail::returned<T>("sigmoid", options.reduction,
                             [&](auto loss) { sigmoid(ctx, a, b, loss, options); });
}

/// The gradients for a `cotangent` of one element or N (reduce::none). Needs no statistics: a
/// pair's gradient depends only on its own logit, which is recomputed.
template <any_context Context, element T>
void sigmoid_backward(
    Context& ctx, const operand<T, 2, Context::space>& a, const operand<T, 2, Context::space>& b,
    loss_source<Context, T> cotangent,
    const std::type_identity_t<sigmoid_options<T, Context::space>>& options = {}) {
  constexpr std::string_view op = "sigmoid_backward";
  detail::sigmoid_call<Context, T> call(ctx, op, a, b, options, {.cotangent = cotangent});
  detail::run_backward(op, call, cotangent);
}

/// Loss and gradients in one call, for a cotangent of options.gradient_scale. One pass over the
/// logits gives all of them: on the CPU unless b is large (12 MiB), on a GPU if b is stopped. The
/// gradient with respect to a row of norm ≤ 1e-12 is zero.
template <any_context Context, element T>
void sigmoid_with_gradients(
    Context& ctx, const operand<T, 2, Context::space>& a, const operand<T, 2, Context::space>& b,
    loss_destination<Context, T> loss,
    const std::type_identity_t<sigmoid_options<T, Context::space>>& options = {}) {
  constexpr std::string_view op = "sigmoid_with_gradients";
  detail::sigmoid_call<Context, T> call(ctx, op, a, b, options, {.loss = loss});
  detail::run_loss(ctx, op, call, loss);
}

/// The same, with the loss returned as a number; for mean and sum only.
template <host_context Context, element T>
compute_t<T> sigmoid_with_gradients(Context& ctx, const operand<T>& a, const operand<T>& b,
                                    const std::type_identity_t<sigmoid_options<T>>& options = {}) {
  return detail::returned<T>("sigmoid_with_gradients", options.reduction,
                             [&](auto loss) { sigmoid_with_gradients(ctx, a, b, loss, options); });
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
