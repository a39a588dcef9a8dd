// InfoNCE in both directions: queries classify their keys, and keys their queries (CLIP).
#pragma once

#include "feaug/header_begin.hpp"

#include <string_view>
#include <type_traits>

#include "feaug/core/any_context.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/reduce.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/loss_verbs.hpp"
#include "feaug/loss/two_view_contrast.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Options of symmetric_info_nce. T is the element type of the features.
template <element T, memory_space Space = memory_space::host>
struct symmetric_info_nce_options {
  /// Divides the logits; above 0. The losses are finite down to 1e-3.
  double temperature = 0.1;
  /// mean and sum give one number, none gives one loss per row.
  reduce reduction = reduce::mean;
  /// Whether rows are divided by their L2 norms first.
  bool normalize = true;
  /// If given, a temperature of one element that replaces `temperature`, and its gradient.
  operand<compute_t<T>, 1, Space> learnable_temperature = {};
  /// Multiplies every gradient, not the loss.
  double gradient_scale = 1;
  /// N weights that multiply the row losses and their gradients. The mean still divides by N.
  vector_view<const compute_t<T>, Space> row_weights = {};
};

namespace detail {

template <element T, memory_space S>
two_view_problem<T, S> symmetric_info_nce_problem(const operand<T, 2, S>& queries,
                                                  const operand<T, 2, S>& keys,
                                                  const symmetric_info_nce_options<T, S>& options,
                                                  const loss_vectors<compute_t<T>, S>& vectors) {
  return {.views = {queries, keys},
          .names = {"queries", "keys"},
          .columns = two_view_columns::other_view,
          .decoupled = false,
          .normalize = options.normalize,
          .temperature = options.temperature,
          .learnable_temperature = options.learnable_temperature,
          .reduction = {.reduction = options.reduction,
                        .rows = 0,
                        .weights = options.row_weights,
                        .gradient_scale = options.gradient_scale,
                        .cotangent = vectors.cotangent},
          .vectors = vectors};
}

}  // namespace detail

/// The mean of info_nce(queries, keys) and info_nce(keys, queries), as in CLIP (Radford et al.,
/// arXiv 2103.00020): with s = cos(queries, keys) / temperature,
///     loss_i = ½ (−s_ii + log Σ_j exp s_ij) + ½ (−s_ii + log Σ_j exp s_ji).
///
/// queries, keys: N × D. loss: 1 element or N (reduce::none). `statistics`, if given, receives 2N
/// numbers for symmetric_info_nce_backward. Never stores an N × N matrix. NaN or ∞ in a row makes
/// every row loss that reads it NaN.
template <any_context Context, class A, class B, class T = std::remove_const_t<A>>
requires same_element<A, B>
void symmetric_info_nce(
    Context& ctx, const matrix_view<A, Context::space>& queries,
    const matrix_view<B, Context::space>& keys, loss_destination<Context, T> loss,
    const std::type_identity_t<symmetric_info_nce_options<T, Context::space>>& options = {},
    statistics_destination<Context, T> statistics = {}) {
  constexpr std::string_view op = "symmetric_info_nce";
  detail::two_view_call<Context, T> call(ctx, op,
                                         detail::symmetric_info_nce_problem<T, Context::space>(
                                             stop_gradient(queries), stop_gradient(keys), options,
                                             {.statistics = statistics, .loss = loss}));
  detail::run_forward(ctx, op, call, loss, statistics);
}

/// The same loss, returned as a number; for mean and sum only.
template <host_context Context, class A, class B, class T = std::remove_const_t<A>>
requires same_element<A, B> compute_t<T> symmetric_info_nce(
    Context& ctx, const matrix_view<A>& queries, const matrix_view<B>& keys,
    const std::type_identity_t<symmetric_info_nce_options<T>>& options = {}) {
  return detail::returned<T>("symmetric_info_nce", options.reduction, [&](auto loss) {
    symmetric_info_nce(ctx, queries, keys, loss, options);
  });
}

/// The gradients from the `statistics` (2N) that symmetric_info_nce wrote, for a `cotangent` of one
/// element or N (reduce::none). Logits are recomputed.
template <any_context Context, element T>
void symmetric_info_nce_backward(
    Context& ctx, const operand<T, 2, Context::space>& queries,
    const operand<T, 2, Context::space>& keys, loss_source<Context, T> statistics,
    loss_source<Context, T> cotangent,
    const std::type_identity_t<symmetric_info_nce_options<T, Context::space>>& options = {}) {
  constexpr std::string_view op = "symmetric_info_nce_backward";
  detail::two_view_call<Context, T> call(
      ctx, op,
      detail::symmetric_info_nce_problem<T, Context::space>(
          queries, keys, options, {.cotangent = cotangent, .kept_statistics = statistics}));
  detail::run_backward(ctx, op, call, statistics, cotangent);
}

/// Loss and gradients in one call, for a cotangent of options.gradient_scale. The gradient with
/// respect to a row of norm ≤ 1e-12 is zero.
template <any_context Context, element T>
void symmetric_info_nce_with_gradients(
    Context& ctx, const operand<T, 2, Context::space>& queries,
    const operand<T, 2, Context::space>& keys, loss_destination<Context, T> loss,
    const std::type_identity_t<symmetric_info_nce_options<T, Context::space>>& options = {}) {
  constexpr std::string_view op = "symmetric_info_nce_with_gradients";
  detail::two_view_call<Context, T> call(ctx, op,
                                         detail::symmetric_info_nce_problem<T, Context::space>(
                                             queries, keys, options, {.loss = loss}));
  detail::run_with_gradients(ctx, op, call, loss);
}

/// The same, with the loss returned as a number; for mean and sum only.
template <host_context Context, element T>
compute_t<T> symmetric_info_nce_with_gradients(
    Context& ctx, const operand<T>& queries, const operand<T>& keys,
    const std::type_identity_t<symmetric_info_nce_options<T>>& options = {}) {
  return detail::returned<T>(
      "symmetric_info_nce_with_gradients", options.reduction,
      [&](auto loss) { symmetric_info_nce_with_gradients(ctx, queries, keys, loss, options); });
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
