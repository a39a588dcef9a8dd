// InfoNCE: classifies each query's own key among all keys and negatives.
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

/// Options of info_nce. T is the element type of the features.
template <element T, memory_space Space = memory_space::host>
struct info_nce_options {
  /// Divides the logits; above 0. With cosines, losses are finite down to 1e-3.
  double temperature = 0.1;
  /// mean and sum give one number, none gives one loss per row.
  reduce reduction = reduce::mean;
  /// Query i's positive is key i + positive_offset. For distributed training: the index of this
  /// rank's first key in the gathered keys.
  index_t positive_offset = 0;
  /// Whether the other keys are negatives. False for MoCo, where only `negatives` are.
  bool in_batch_negatives = true;
  /// Whether rows are divided by their L2 norms first.
  bool normalize = true;
  /// K × D rows that are negatives of every query, for example a support queue. With stop_gradient,
  /// no gradient is computed for them.
  operand<T, 2, Space> negatives = {};
  /// If given, a temperature of one element that replaces `temperature`, and its gradient.
  operand<compute_t<T>, 1, Space> learnable_temperature = {};
  /// Multiplies every gradient, not the loss: for a loss scaler or the share of a micro-batch.
  double gradient_scale = 1;
  /// N weights that multiply the row losses and their gradients. The mean still divides by N.
  vector_view<const compute_t<T>, Space> row_weights = {};
};

namespace detail {

/// Checks a call's arguments. Returns how its row losses are reduced.
template <element T, memory_space S>
row_reduction<compute_t<T>, S> info_nce_arguments(std::string_view op,
                                                  const operand<T, 2, S>& queries,
                                                  const operand<T, 2, S>& keys,
                                                  const info_nce_options<T, S>& options,
                                                  const loss_vectors<compute_t<T>, S>& vectors) {
  check::valid(op, "queries", queries);
  check::valid(op, "keys", keys);
  check::valid(op, "negatives", options.negatives);
  check::not_empty(op, "queries", queries.value);
  const index_t rows = queries.value.rows();
  const index_t cols = queries.value.cols();
  check::has_columns(op, "keys", keys.value, cols, "queries");
  if (options.negatives.value.rows() > 0)
    check::has_columns(op, "negatives", options.negatives.value, cols, "queries");
  if (options.positive_offset < 0 || options.positive_offset > keys.value.rows() - rows) {
    check::fail(op, "keys", check::text(keys.value.rows()) + " rows",
                "at least " + check::text(rows) + " queries + positive_offset " +
                    check::text(options.positive_offset) + " (an offset of at least 0)");
  }
  check::temperature(op, options.temperature, options.learnable_temperature);
  check::loss_memory(op, options, vectors)
      .uses("queries", queries)
      .uses("keys", keys)
      .uses("negatives", options.negatives)
      .require_apart();
  return reduction_of<T>(op, options, rows, vectors);
}

/// One call of the loss, see loss_verbs.hpp.
template <class Context, element T>
struct info_nce_call {
  static_assert(is_included<Context>,
                "include feaug/cpu/loss/info_nce.hpp or feaug/cuda/loss/info_nce.cuh");
};

}  // namespace detail

/// InfoNCE (van den Oord et al., arXiv 1807.03748), with s = cos(queries, keys) / temperature and
/// p(i) = i + positive_offset:
///     loss_i = −s_i,p(i) + log Σ_j exp s_ij.
///
/// queries: N × D. keys: M × D with M ≥ N + positive_offset. loss: 1 element or N (reduce::none).
/// `statistics`, if given, receives N numbers for info_nce_backward. Writes nothing else; never
/// stores an N × M matrix. NaN or ∞ in a row makes every row loss that reads it NaN. Errors:
/// argument_error, see docs/errors.md.
template <any_context Context, class Q, class K, class T = std::remove_const_t<Q>>
requires same_element<Q, K>
void info_nce(Context& ctx, const matrix_view<Q, Context::space>& queries,
              const matrix_view<K, Context::space>& keys, loss_destination<Context, T> loss,
              const std::type_identity_t<info_nce_options<T, Context::space>>& options = {},
              statistics_destination<Context, T> statistics = {}) {
  constexpr std::string_view op = "info_nce";
  detail::info_nce_call<Context, T> call(ctx, op, stop_gradient(queries), stop_gradient(keys),
                                         options, {.statistics = statistics, .loss = loss});
  detail::run_forward(ctx, op, call, loss, statistics);
}

/// The same loss, returned as a number; for mean and sum only.
template <host_context Context, class Q, class K, class T = std::remove_const_t<Q>>
requires same_element<Q, K> compute_t<T> info_nce(
    Context& ctx, const matrix_view<Q>& queries, const matrix_view<K>& keys,
    const std::type_identity_t<info_nce_options<T>>& options = {}) {
  return detail::returned<T>("info_nce", options.reduction,
                             [&](auto loss) { info_nce(ctx, queries, keys, loss, options); });
}

/// The gradients from the `statistics` (N) that info_nce wrote, for a `cotangent` of one element or
/// N (reduce::none). Logits are recomputed; nothing of size N × M was stored. Options must be those
/// of the forward call.
template <any_context Context, element T>
void info_nce_backward(
    Context& ctx, const operand<T, 2, Context::space>& queries,
    const operand<T, 2, Context::space>& keys, loss_source<Context, T> statistics,
    loss_source<Context, T> cotangent,
    const std::type_identity_t<info_nce_options<T, Context::space>>& options = {}) {
  constexpr std::string_view op = "info_nce_backward";
  detail::info_nce_call<Context, T> call(ctx, op, queries, keys, options,
                                         {.cotangent = cotangent, .kept_statistics = statistics});
  detail::run_backward(ctx, op, call, statistics, cotangent);
}

/// Loss and gradients in one call, for a cotangent of options.gradient_scale: the function for
/// training. If keys and negatives are stopped, one pass over the logits gives both. The gradient
/// with respect to a row of norm ≤ 1e-12 is zero.
template <any_context Context, element T>
void info_nce_with_gradients(
    Context& ctx, const operand<T, 2, Context::space>& queries,
    const operand<T, 2, Context::space>& keys, loss_destination<Context, T> loss,
    const std::type_identity_t<info_nce_options<T, Context::space>>& options = {}) {
  constexpr std::string_view op = "info_nce_with_gradients";
  detail::info_nce_call<Context, T> call(ctx, op, queries, keys, options, {.loss = loss});
  detail::run_with_gradients(ctx, op, call, loss);
}

/// The same, with the loss returned as a number; for mean and sum only.
template <host_context Context, element T>
compute_t<T> info_nce_with_gradients(
    Context& ctx, const operand<T>& queries, const operand<T>& keys,
    const std::type_identity_t<info_nce_options<T>>& options = {}) {
  return detail::returned<T>("info_nce_with_gradients", options.reduction, [&](auto loss) {
    info_nce_with_gradients(ctx, queries, keys, loss, options);
  });
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
