// Relational distillation: matches a query's similarities to a support with those of its key.
#pragma once

#include "feaug/header_begin.hpp"

#include <cstdint>
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
#include "feaug/queue/support_rows.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Options of relation_distillation. T is the element type of the features.
template <element T, memory_space Space = memory_space::host>
struct relation_distillation_options {
  /// Divides the queries' logits; above 0.
  double temperature = 0.1;
  /// Divides the keys' logits; above 0. Choose it below `temperature`, so that the teacher is
  /// sharper.
  double teacher_temperature = 0.04;
  /// mean and sum give one number, none gives one loss per row.
  reduce reduction = reduce::mean;
  /// Whether queries, keys and support rows are divided by their L2 norms first. A queue that
  /// stores unit rows is used as it is.
  bool normalize = true;
  /// N sample ids: queue rows with the query's own id are excluded from both softmaxes.
  vector_view<const std::int64_t, Space> exclude_ids = {};
  /// Multiplies every gradient, not the loss: for a loss scaler or the share of a micro-batch.
  double gradient_scale = 1;
  /// N weights that multiply the row losses and their gradients. The mean still divides by N.
  vector_view<const compute_t<T>, Space> row_weights = {};
};

namespace detail {

/// Checks a call's arguments. Returns how its row losses are reduced.
template <element T, memory_space S>
row_reduction<compute_t<T>, S> relation_distillation_arguments(
    std::string_view op, const operand<T, 2, S>& queries, const matrix_view<const T, S>& keys,
    const support_rows<T, S>& support, const relation_distillation_options<T, S>& options,
    const loss_vectors<compute_t<T>, S>& vectors) {
  const index_t rows = queries.value.rows();
  const index_t cols = queries.value.cols();
  check::valid(op, "queries", queries);
  check::not_empty(op, "queries", queries.value);
  check::readable(op, "keys", keys);
  check::has_shape(op, "keys", keys, rows, cols, "queries");
  check::valid(op, support, cols, "queries");
  check::exclusion(op, support, options.exclude_ids, rows, "one a query");
  if constexpr (S == memory_space::host) {
    if (support.filled() == 0) check::fail(op, "queue", "no filled rows", "at least one");
    check::leaves_some<T>(op, support, options.exclude_ids, queries.value, {},
                          "one that is left for every query");
  }
  check::positive(op, "temperature", options.temperature);
  check::positive(op, "teacher_temperature", options.teacher_temperature);
  check::call_memory memory = check::loss_memory(op, options, vectors);
  memory.uses("queries", queries).reads("keys", keys);
  memory.reads("exclude_ids", options.exclude_ids);
  check::add_support(memory, support).require_apart();
  return reduction_of<T>(op, options, rows, vectors);
}

/// A row's loss and gradient. With m_P and m_T the mean support rows of the query's and the key's
/// softmax, loss = log Σ exp s − q·m_T / τ, and its gradient with respect to the unit query q is
/// coefficient · (m_P − m_T).
struct relation_terms {
  double loss;
  double coefficient;

  /// `cosine` is q·m_T, `weight` the factor of the row's gradient.
  FEAUG_HD relation_terms(double log_sum_exp, double cosine, double temperature, double weight)
      : loss(log_sum_exp - cosine / temperature), coefficient(weight / temperature) {}
};

/// One call of the loss, see loss_verbs.hpp.
template <class Context, element T>
struct relation_distillation_call {
  static_assert(is_included<Context>,
                "include feaug/cpu/loss/relation_distillation.hpp or "
                "feaug/cuda/loss/relation_distillation.cuh");
};

}  // namespace detail

/// Relational self-supervised learning (ReSSL; Zheng et al., arXiv 2107.09282): with v_j the filled
/// rows of a support queue, or the rows of a matrix,
///     P_i = softmax_j(cos(query_i, v_j) / temperature),
///     T_i = softmax_j(cos(key_i, v_j) / teacher_temperature),
///     loss_i = −Σ_j T_ij log P_ij.
/// The gradient with respect to cos(query_i, v_j) is (P_ij − T_ij) / temperature. Keys and support
/// are constants.
///
/// queries, keys: N × D. loss: 1 element or N (reduce::none). Never stores an N × M matrix. NaN or
/// ∞ in a query or key makes its row's loss NaN; in a support row it makes every loss NaN.
///
/// Errors: an empty queue, exclude_ids that leave a query without rows, shapes, overlaps. On a GPU
/// counters and ids are not checked: a row's loss is NaN if the queue is empty or no row is left
/// for its query.
template <any_context Context, class Q, class T = std::remove_const_t<Q>>
requires element<T>
void relation_distillation(
    Context& ctx, const matrix_view<Q, Context::space>& queries,
    const std::type_identity_t<matrix_view<const T, Context::space>>& keys,
    const std::type_identity_t<support_rows<T, Context::space>>& support,
    loss_destination<Context, T> loss,
    const std::type_identity_t<relation_distillation_options<T, Context::space>>& options = {}) {
  constexpr std::string_view op = "relation_distillation";
  detail::relation_distillation_call<Context, T> call(ctx, op, stop_gradient(queries), keys,
                                                      support, options, {.loss = loss});
  detail::run_loss(ctx, op, call, loss);
}

/// The same loss, returned as a number; for mean and sum only.
template <host_context Context, class Q, class T = std::remove_const_t<Q>>
requires element<T> compute_t<T> relation_distillation(
    Context& ctx, const matrix_view<Q>& queries,
    const std::type_identity_t<matrix_view<const T>>& keys,
    const std::type_identity_t<support_rows<T>>& support,
    const std::type_identity_t<relation_distillation_options<T>>& options = {}) {
  return detail::returned<T>("relation_distillation", options.reduction, [&](auto loss) {
    relation_distillation(ctx, queries, keys, support, loss, options);
  });
}

/// The gradient with respect to the queries, for a `cotangent` of one element or N (reduce::none).
/// Needs no statistics: both softmaxes are recomputed with their means, one matrix product more
/// than with known sums.
template <any_context Context, element T>
void relation_distillation_backward(
    Context& ctx, const operand<T, 2, Context::space>& queries,
    const std::type_identity_t<matrix_view<const T, Context::space>>& keys,
    const std::type_identity_t<support_rows<T, Context::space>>& support,
    loss_source<Context, T> cotangent,
    const std::type_identity_t<relation_distillation_options<T, Context::space>>& options = {}) {
  constexpr std::string_view op = "relation_distillation_backward";
  detail::relation_distillation_call<Context, T> call(ctx, op, queries, keys, support, options,
                                                      {.cotangent = cotangent});
  detail::run_backward(op, call, cotangent);
}

/// Loss and gradient in one call, for a cotangent of options.gradient_scale; costs little more than
/// the gradient alone. The gradient with respect to a query of norm ≤ 1e-12 is zero.
template <any_context Context, element T>
void relation_distillation_with_gradients(
    Context& ctx, const operand<T, 2, Context::space>& queries,
    const std::type_identity_t<matrix_view<const T, Context::space>>& keys,
    const std::type_identity_t<support_rows<T, Context::space>>& support,
    loss_destination<Context, T> loss,
    const std::type_identity_t<relation_distillation_options<T, Context::space>>& options = {}) {
  constexpr std::string_view op = "relation_distillation_with_gradients";
  detail::relation_distillation_call<Context, T> call(ctx, op, queries, keys, support, options,
                                                      {.loss = loss});
  detail::run_loss(ctx, op, call, loss);
}

/// The same, with the loss returned as a number; for mean and sum only.
template <host_context Context, element T>
compute_t<T> relation_distillation_with_gradients(
    Context& ctx, const operand<T>& queries, const std::type_identity_t<matrix_view<const T>>& keys,
    const std::type_identity_t<support_rows<T>>& support,
    const std::type_identity_t<relation_distillation_options<T>>& options = {}) {
  return detail::returned<T>(
      "relation_distillation_with_gradients", options.reduction, [&](auto loss) {
        relation_distillation_with_gradients(ctx, queries, keys, support, loss, options);
      });
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
