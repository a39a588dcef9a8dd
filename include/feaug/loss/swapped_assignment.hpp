// Swapped assignment (SwAV): each view predicts the other view's balanced assignment to prototypes.
#pragma once

#include "feaug/header_begin.hpp"

#include <string_view>
#include <type_traits>

#include "feaug/core/any_context.hpp"
#include "feaug/core/call_memory.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/reduce.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/loss_verbs.hpp"
#include "feaug/loss/row_reduction.hpp"
#include "feaug/loss/sinkhorn.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Options of swapped_assignment. T is the element type of the scores.
template <element T, memory_space Space = memory_space::host>
struct swapped_assignment_options {
  /// Divides the predicting view's scores; above 0.
  double temperature = 0.1;
  /// Options of the assignments, see sinkhorn_options.
  double epsilon = 0.05;
  index_t iterations = 3;
  /// Further rows of scores for each view (any number × P), for example those of a feature queue.
  /// They only take part in the balancing of that view's assignments.
  matrix_view<const T, Space> extra_scores_a = {};
  matrix_view<const T, Space> extra_scores_b = {};
  /// mean and sum give one number, none gives one loss per row.
  reduce reduction = reduce::mean;
  /// Multiplies every gradient, not the loss.
  double gradient_scale = 1;
  /// N weights that multiply the row losses and their gradients. The mean still divides by N.
  vector_view<const compute_t<T>, Space> row_weights = {};
};

namespace detail {

/// Checks a call's arguments. Returns how its row losses are reduced.
template <element T, memory_space S>
row_reduction<compute_t<T>, S> swapped_assignment_arguments(
    std::string_view op, const operand<T, 2, S>& a, const operand<T, 2, S>& b,
    const swapped_assignment_options<T, S>& options, const loss_vectors<compute_t<T>, S>& vectors) {
  check::two_views(op, "scores_a", a, "scores_b", b);
  check::positive(op, "temperature", options.temperature);
  check::sinkhorn_numbers(op, options.epsilon, options.iterations);
  const auto extra = [&](std::string_view name, const matrix_view<const T, S>& x) {
    check::extra_scores<T>(op, name, x, a.value.cols(), "scores_a");
  };
  extra("extra_scores_a", options.extra_scores_a);
  extra("extra_scores_b", options.extra_scores_b);
  check::loss_memory(op, options, vectors)
      .uses("scores_a", a)
      .uses("scores_b", b)
      .reads("extra_scores_a", options.extra_scores_a)
      .reads("extra_scores_b", options.extra_scores_b)
      .require_apart();
  return reduction_of<T>(op, options, a.value.rows(), vectors);
}

/// One call of the loss, see loss_verbs.hpp. Its statistics are double for every T:
///   outputs(), prototypes()
///   forward(loss, statistics), backward(statistics), forward_and_backward(loss)
template <class Context, element T>
struct swapped_assignment_call {
  static_assert(is_included<Context>,
                "include feaug/cpu/loss/swapped_assignment.hpp or "
                "feaug/cuda/loss/swapped_assignment.cuh");
};

}  // namespace detail

namespace check {

/// Checks the potentials of both views: an optional output of a forward pass, an input of a
/// backward pass.
template <class N, memory_space S>
void swapped_statistics(std::string_view op, const vector_view<N, S>& statistics,
                        index_t prototypes, std::string_view as) {
  if constexpr (std::is_const_v<N>) {
    readable(op, "statistics", statistics);
  } else {
    writable(op, "statistics", statistics);
    if (statistics.empty()) return;
  }
  has_size(op, "statistics", statistics, 2 * prototypes, as);
}

}  // namespace check

/// loss_i = −½ Σ_j (q^b_ij log p^a_ij + q^a_ij log p^b_ij), with p = softmax(scores / temperature)
/// and q the assignments that sinkhorn computes from the scores, which are constants (Caron et al.,
/// SwAV, arXiv 2006.09882).
///
/// * scores_a, scores_b: N × P, of the samples' two views with the P prototypes.
/// * loss: 1 element or N (reduce::none).
/// * statistics: if given, receives the 2P potentials for swapped_assignment_backward.
///
/// The gradient with respect to scores_a is ½ (p^a_ij Σ_k q^b_ik − q^b_ij) / temperature.
/// Assignments are not stored; they are recomputed from the potentials. NaN or +∞ in a score makes
/// every row loss NaN, since all rows read it; for −∞ see sinkhorn and assignment_loss.
template <any_context Context, class A, class B, class T = std::remove_const_t<A>>
requires same_element<A, B>
void swapped_assignment(
    Context& ctx, const matrix_view<A, Context::space>& scores_a,
    const matrix_view<B, Context::space>& scores_b, loss_destination<Context, T> loss,
    const std::type_identity_t<swapped_assignment_options<T, Context::space>>& options = {},
    std::type_identity_t<vector_view<double, Context::space>> statistics = {}) {
  constexpr std::string_view op = "swapped_assignment";
  detail::swapped_assignment_call<Context, T> call(
      ctx, op, stop_gradient(scores_a), stop_gradient(scores_b), options, {.loss = loss});
  check::loss_outputs(op, loss, call.outputs(), {}, 0);
  check::swapped_statistics(op, statistics, call.prototypes(), "the potentials of both views");
  check::call_memory(op)
      .writes("statistics", statistics)
      .writes("loss", loss)
      .reads("scores_a", scores_a)
      .reads("scores_b", scores_b)
      .reads("extra_scores_a", options.extra_scores_a)
      .reads("extra_scores_b", options.extra_scores_b)
      .reads("row_weights", options.row_weights)
      .require_apart();
  require_reachable(ctx, op, "loss", loss);
  require_reachable(ctx, op, "statistics", statistics);
  call.forward(loss, statistics);
}

/// The same loss, returned as a number; for mean and sum only.
template <host_context Context, class A, class B, class T = std::remove_const_t<A>>
requires same_element<A, B> compute_t<T> swapped_assignment(
    Context& ctx, const matrix_view<A>& scores_a, const matrix_view<B>& scores_b,
    const std::type_identity_t<swapped_assignment_options<T>>& options = {}) {
  return detail::returned<T>("swapped_assignment", options.reduction, [&](auto loss) {
    swapped_assignment(ctx, scores_a, scores_b, loss, options);
  });
}

/// The gradients from the `statistics` (2P) that swapped_assignment wrote, for a `cotangent` of one
/// element or N (reduce::none). Runs no Sinkhorn iterations.
template <any_context Context, element T>
void swapped_assignment_backward(
    Context& ctx, const operand<T, 2, Context::space>& scores_a,
    const operand<T, 2, Context::space>& scores_b,
    std::type_identity_t<vector_view<const double, Context::space>> statistics,
    loss_source<Context, T> cotangent,
    const std::type_identity_t<swapped_assignment_options<T, Context::space>>& options = {}) {
  constexpr std::string_view op = "swapped_assignment_backward";
  detail::swapped_assignment_call<Context, T> call(ctx, op, scores_a, scores_b, options,
                                                   {.cotangent = cotangent});
  check::swapped_statistics(op, statistics, call.prototypes(), "as the forward pass wrote them");
  check::call_memory(op)
      .uses("scores_a", scores_a)
      .uses("scores_b", scores_b)
      .reads("statistics", statistics)
      .require_apart();
  check::has_cotangent(op, cotangent);
  require_reachable(ctx, op, "statistics", statistics);
  call.backward(statistics);
}

/// Loss and gradients in one call, for a cotangent of options.gradient_scale.
template <any_context Context, element T>
void swapped_assignment_with_gradients(
    Context& ctx, const operand<T, 2, Context::space>& scores_a,
    const operand<T, 2, Context::space>& scores_b, loss_destination<Context, T> loss,
    const std::type_identity_t<swapped_assignment_options<T, Context::space>>& options = {}) {
  constexpr std::string_view op = "swapped_assignment_with_gradients";
  detail::swapped_assignment_call<Context, T> call(ctx, op, scores_a, scores_b, options,
                                                   {.loss = loss});
  detail::run_with_gradients(ctx, op, call, loss);
}

/// The same, with the loss returned as a number; for mean and sum only.
template <host_context Context, element T>
compute_t<T> swapped_assignment_with_gradients(
    Context& ctx, const operand<T>& scores_a, const operand<T>& scores_b,
    const std::type_identity_t<swapped_assignment_options<T>>& options = {}) {
  return detail::returned<T>(
      "swapped_assignment_with_gradients", options.reduction, [&](auto loss) {
        swapped_assignment_with_gradients(ctx, scores_a, scores_b, loss, options);
      });
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
