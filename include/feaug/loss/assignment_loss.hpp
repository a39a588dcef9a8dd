// Cross-entropy of predictions against assignments: SwAV's loss for a pair of crops.
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
#include "feaug/loss/assignment.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/loss_verbs.hpp"
#include "feaug/loss/row_reduction.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Options of assignment_loss. T is the element type of the scores.
template <element T, memory_space Space = memory_space::host>
struct assignment_loss_options {
  /// Divides the predicting view's scores; above 0.
  double temperature = 0.1;
  /// mean and sum give one number, none gives one loss per row.
  reduce reduction = reduce::mean;
  /// Multiplies every gradient, not the loss: for a loss scaler or the weight of a pair of crops.
  double gradient_scale = 1;
  /// N weights that multiply the row losses and their gradients. The mean still divides by N.
  vector_view<const compute_t<T>, Space> row_weights = {};
};

namespace detail {

/// Checks a call's arguments. Returns how its row losses are reduced.
template <element T, memory_space S>
row_reduction<compute_t<T>, S> assignment_loss_arguments(
    std::string_view op, const operand<T, 2, S>& scores, const assignment_target<T, S>& target,
    const assignment_loss_options<T, S>& options, const loss_vectors<compute_t<T>, S>& vectors) {
  check::valid(op, "scores", scores);
  check::not_empty(op, "scores", scores.value);
  check::readable(op, "target.scores", target.scores);
  check::has_shape(op, "target.scores", target.scores, scores.value.rows(), scores.value.cols(),
                   "scores");
  check::readable(op, "target.potentials", target.potentials);
  check::has_size(op, "target.potentials", target.potentials, scores.value.cols(),
                  "a number a prototype");
  check::positive(op, "target.epsilon", target.epsilon);
  if (target.iterations < 0)
    check::fail(op, "target.iterations", check::text(target.iterations), "at least 0");
  check::positive(op, "temperature", options.temperature);
  check::loss_memory(op, options, vectors)
      .uses("scores", scores)
      .reads("target.scores", target.scores)
      .reads("target.potentials", target.potentials)
      .require_apart();
  return reduction_of<T>(op, options, scores.value.rows(), vectors);
}

/// One call of the loss, see loss_verbs.hpp.
template <class Context, element T>
struct assignment_loss_call {
  static_assert(
      is_included<Context>,
      "include feaug/cpu/loss/assignment_loss.hpp or feaug/cuda/loss/assignment_loss.cuh");
};

}  // namespace detail

/// loss_i = −Σ_j q_ij log p_ij, with p = softmax(scores / temperature) and q the target's
/// assignments, which are constants (Caron et al., SwAV, arXiv 2006.09882).
///
/// scores: N × P, of the predicting crop. target: of the same samples, see assignment_target. loss:
/// 1 element or N (reduce::none). The gradient with respect to the scores is (p_ij Σ_k q_ik − q_ij)
/// / temperature. If a score of −∞ makes p_ij 0, the loss is ∞, unless q_ij is also 0. NaN in a row
/// makes its loss NaN.
template <any_context Context, class S, class T = std::remove_const_t<S>>
requires element<T>
void assignment_loss(
    Context& ctx, const matrix_view<S, Context::space>& scores,
    const std::type_identity_t<assignment_target<T, Context::space>>& target,
    loss_destination<Context, T> loss,
    const std::type_identity_t<assignment_loss_options<T, Context::space>>& options = {}) {
  constexpr std::string_view op = "assignment_loss";
  detail::assignment_loss_call<Context, T> call(ctx, op, stop_gradient(scores), target, options,
                                                {.loss = loss});
  detail::run_loss(ctx, op, call, loss);
}

/// The same loss, returned as a number; for mean and sum only.
template <host_context Context, class S, class T = std::remove_const_t<S>>
requires element<T> compute_t<T> assignment_loss(
    Context& ctx, const matrix_view<S>& scores,
    const std::type_identity_t<assignment_target<T>>& target,
    const std::type_identity_t<assignment_loss_options<T>>& options = {}) {
  return detail::returned<T>("assignment_loss", options.reduction, [&](auto loss) {
    assignment_loss(ctx, scores, target, loss, options);
  });
}

/// The gradient for a `cotangent` of one element or N (reduce::none). Needs no statistics except
/// the target's potentials.
template <any_context Context, element T>
void assignment_loss_backward(
    Context& ctx, const operand<T, 2, Context::space>& scores,
    const std::type_identity_t<assignment_target<T, Context::space>>& target,
    loss_source<Context, T> cotangent,
    const std::type_identity_t<assignment_loss_options<T, Context::space>>& options = {}) {
  constexpr std::string_view op = "assignment_loss_backward";
  detail::assignment_loss_call<Context, T> call(ctx, op, scores, target, options,
                                                {.cotangent = cotangent});
  detail::run_backward(op, call, cotangent);
}

/// Loss and gradient in one pass, for a cotangent of options.gradient_scale.
template <any_context Context, element T>
void assignment_loss_with_gradients(
    Context& ctx, const operand<T, 2, Context::space>& scores,
    const std::type_identity_t<assignment_target<T, Context::space>>& target,
    loss_destination<Context, T> loss,
    const std::type_identity_t<assignment_loss_options<T, Context::space>>& options = {}) {
  constexpr std::string_view op = "assignment_loss_with_gradients";
  detail::assignment_loss_call<Context, T> call(ctx, op, scores, target, options, {.loss = loss});
  detail::run_loss(ctx, op, call, loss);
}

/// The same, with the loss returned as a number; for mean and sum only.
template <host_context Context, element T>
compute_t<T> assignment_loss_with_gradients(
    Context& ctx, const operand<T>& scores,
    const std::type_identity_t<assignment_target<T>>& target,
    const std::type_identity_t<assignment_loss_options<T>>& options = {}) {
  return detail::returned<T>("assignment_loss_with_gradients", options.reduction, [&](auto loss) {
    assignment_loss_with_gradients(ctx, scores, target, loss, options);
  });
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
