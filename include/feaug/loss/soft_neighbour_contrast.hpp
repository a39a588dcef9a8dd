// Contrastive loss with soft neighbours (SNCLR): a query's positives are its own key and, weighted
// by similarity, its neighbours.
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

/// Options of soft_neighbour_contrast. T is the element type of the features.
template <element T, memory_space Space = memory_space::host>
struct soft_neighbour_contrast_options {
  /// Divides the logits; above 0.
  double temperature = 0.1;
  /// Divides the cosines from which the neighbours' labels are computed; above 0. SNCLR has no such
  /// temperature: 1.
  double label_temperature = 1;
  /// Total weight of a row's neighbours; its own key has weight 1. At least 0. SNCLR: 1.
  double neighbour_weight = 1;
  /// N × D rows whose similarities to the neighbours give the labels. Default: the queries, as
  /// constants. SNCLR uses the features before the predictor and lets the gradient flow into them:
  /// differentiable(z, dz).
  operand<T, 2, Space> attention = {};
  /// mean and sum give one number, none gives one loss per row.
  reduce reduction = reduce::mean;
  /// Whether all rows are divided by their L2 norms first.
  bool normalize = true;
  /// Multiplies every gradient, not the loss: for a loss scaler or the share of a micro-batch.
  double gradient_scale = 1;
  /// N weights that multiply the row losses and their gradients. The mean still divides by N.
  vector_view<const compute_t<T>, Space> row_weights = {};
};

namespace detail {

/// Checks a call's arguments. Returns how its row losses are reduced.
template <element T, memory_space S>
row_reduction<compute_t<T>, S> soft_neighbour_contrast_arguments(
    std::string_view op, const operand<T, 2, S>& queries, const matrix_view<const T, S>& keys,
    const matrix_view<const T, S>& neighbours, const soft_neighbour_contrast_options<T, S>& options,
    const loss_vectors<compute_t<T>, S>& vectors) {
  const index_t rows = queries.value.rows();
  const index_t cols = queries.value.cols();
  check::valid(op, "queries", queries);
  check::not_empty(op, "queries", queries.value);
  check::readable(op, "keys", keys);
  check::has_shape(op, "keys", keys, rows, cols, "queries");
  check::readable(op, "neighbours", neighbours);
  check::has_columns(op, "neighbours", neighbours, cols, "queries");
  if (neighbours.rows() < rows || neighbours.rows() % rows != 0) {
    check::fail(op, "neighbours", check::text(neighbours.rows()) + " rows",
                "as many for each of the " + check::text(rows) + " queries, one at least");
  }
  const bool attends = options.attention.value.data != nullptr;
  if (attends) {
    check::valid(op, "attention", options.attention);
    check::has_shape(op, "attention", options.attention.value, rows, cols, "queries");
  }
  check::positive(op, "temperature", options.temperature);
  check::positive(op, "label_temperature", options.label_temperature);
  check::finite(op, "neighbour_weight", options.neighbour_weight);
  if (options.neighbour_weight < 0)
    check::fail(op, "neighbour_weight", check::text(options.neighbour_weight), "at least 0");
  check::loss_memory(op, options, vectors)
      .uses("queries", queries)
      .reads("keys", keys)
      .reads("neighbours", neighbours)
      .uses("attention", options.attention)
      .require_apart();
  return reduction_of<T>(op, options, rows, vectors);
}

/// One call of the loss, see loss_verbs.hpp.
template <class Context, element T>
struct soft_neighbour_contrast_call {
  static_assert(is_included<Context>,
                "include feaug/cpu/loss/soft_neighbour_contrast.hpp or "
                "feaug/cuda/loss/soft_neighbour_contrast.cuh");
};

}  // namespace detail

/// Contrastive learning with soft neighbours (SNCLR; Ge et al., arXiv 2303.17142). The N·(k + 1)
/// columns c are every sample's own key and its k neighbours. With s_ic = cos(query_i, c) /
/// temperature,
///     loss_i = −Σ_c y_ic log softmax_c s_ic,
/// where y_ic is 1 for the own key, neighbour_weight · softmax_r(cos(attention_i, n_ir) /
/// label_temperature) for the own neighbours n_ir, and 0 for all others. Labels sum to 1 +
/// neighbour_weight, which is 2 in SNCLR. SNCLR's factor 2 · temperature is not included. The
/// gradient with respect to s_ic is (1 + neighbour_weight) softmax_ic − y_ic.
///
/// queries, keys: N × D. neighbours: N·k × D, query 0's first, in the order in which `nearest`
/// writes its values. loss: 1 element or N (reduce::none). Keys and neighbours are constants.
/// Queries and options.attention can have gradients; if attention is not given, labels are
/// constants. Never stores an N × N·(k + 1) matrix. NaN or ∞ in a key or a neighbour makes every
/// loss NaN; in a query or a row of attention it makes that row's loss NaN. Errors: shapes,
/// numbers, overlaps.
template <any_context Context, class Q, class T = std::remove_const_t<Q>>
requires element<T>
void soft_neighbour_contrast(
    Context& ctx, const matrix_view<Q, Context::space>& queries,
    const std::type_identity_t<matrix_view<const T, Context::space>>& keys,
    const std::type_identity_t<matrix_view<const T, Context::space>>& neighbours,
    loss_destination<Context, T> loss,
    const std::type_identity_t<soft_neighbour_contrast_options<T, Context::space>>& options = {}) {
  constexpr std::string_view op = "soft_neighbour_contrast";
  soft_neighbour_contrast_options<T, Context::space> constant = options;
  constant.attention = stop_gradient(options.attention.value);
  detail::soft_neighbour_contrast_call<Context, T> call(ctx, op, stop_gradient(queries), keys,
                                                        neighbours, constant, {.loss = loss});
  detail::run_loss(ctx, op, call, loss);
}

/// The same loss, returned as a number; for mean and sum only.
template <host_context Context, class Q, class T = std::remove_const_t<Q>>
requires element<T> compute_t<T> soft_neighbour_contrast(
    Context& ctx, const matrix_view<Q>& queries,
    const std::type_identity_t<matrix_view<const T>>& keys,
    const std::type_identity_t<matrix_view<const T>>& neighbours,
    const std::type_identity_t<soft_neighbour_contrast_options<T>>& options = {}) {
  return detail::returned<T>("soft_neighbour_contrast", options.reduction, [&](auto loss) {
    soft_neighbour_contrast(ctx, queries, keys, neighbours, loss, options);
  });
}

/// The gradients for a `cotangent` of one element or N (reduce::none). Needs no statistics: one
/// pass gives the softmax and the mean of the columns weighted with it.
template <any_context Context, element T>
void soft_neighbour_contrast_backward(
    Context& ctx, const operand<T, 2, Context::space>& queries,
    const std::type_identity_t<matrix_view<const T, Context::space>>& keys,
    const std::type_identity_t<matrix_view<const T, Context::space>>& neighbours,
    loss_source<Context, T> cotangent,
    const std::type_identity_t<soft_neighbour_contrast_options<T, Context::space>>& options = {}) {
  constexpr std::string_view op = "soft_neighbour_contrast_backward";
  detail::soft_neighbour_contrast_call<Context, T> call(ctx, op, queries, keys, neighbours, options,
                                                        {.cotangent = cotangent});
  detail::run_backward(op, call, cotangent);
}

/// Loss and gradients in one call, for a cotangent of options.gradient_scale. The gradient with
/// respect to a row of norm ≤ 1e-12 is zero.
template <any_context Context, element T>
void soft_neighbour_contrast_with_gradients(
    Context& ctx, const operand<T, 2, Context::space>& queries,
    const std::type_identity_t<matrix_view<const T, Context::space>>& keys,
    const std::type_identity_t<matrix_view<const T, Context::space>>& neighbours,
    loss_destination<Context, T> loss,
    const std::type_identity_t<soft_neighbour_contrast_options<T, Context::space>>& options = {}) {
  constexpr std::string_view op = "soft_neighbour_contrast_with_gradients";
  detail::soft_neighbour_contrast_call<Context, T> call(ctx, op, queries, keys, neighbours, options,
                                                        {.loss = loss});
  detail::run_loss(ctx, op, call, loss);
}

/// The same, with the loss returned as a number; for mean and sum only.
template <host_context Context, element T>
compute_t<T> soft_neighbour_contrast_with_gradients(
    Context& ctx, const operand<T>& queries, const std::type_identity_t<matrix_view<const T>>& keys,
    const std::type_identity_t<matrix_view<const T>>& neighbours,
    const std::type_identity_t<soft_neighbour_contrast_options<T>>& options = {}) {
  return detail::returned<T>(
      "soft_neighbour_contrast_with_gradients", options.reduction, [&](auto loss) {
        soft_neighbour_contrast_with_gradients(ctx, queries, keys, neighbours, loss, options);
      });
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
