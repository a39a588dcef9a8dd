// NT-Xent: classifies each row's other view among all rows of both views.
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

/// Options of nt_xent. T is the element type of the features.
template <element T, memory_space Space = memory_space::host>
struct nt_xent_options {
  /// Divides the logits; above 0. The losses are finite down to 1e-3.
  double temperature = 0.1;
  /// mean and sum give one number, none gives one loss per row.
  reduce reduction = reduce::mean;
  /// Excludes the positive from the denominator (DCL; Yeh et al., arXiv 2110.06848). Needs N ≥ 2.
  bool decoupled = false;
  /// σ of DCLW (0.5 in the same paper). The positive's logit is multiplied by the constant 2 −
  /// N·softmax_i(cos(a_i, b_i) / σ), so that pairs that already agree are pulled less. 0: no
  /// weighting. Requires decoupled.
  double positive_weighting = 0;
  /// Whether rows are divided by their L2 norms first.
  bool normalize = true;
  /// If given, a temperature of one element that replaces `temperature`, and its gradient.
  operand<compute_t<T>, 1, Space> learnable_temperature = {};
  /// Multiplies every gradient, not the loss.
  double gradient_scale = 1;
  /// 2N weights that multiply the row losses and their gradients. The mean still divides by 2N.
  vector_view<const compute_t<T>, Space> row_weights = {};
};

namespace detail {

template <element T, memory_space S>
two_view_problem<T, S> nt_xent_problem(const operand<T, 2, S>& a, const operand<T, 2, S>& b,
                                       const nt_xent_options<T, S>& options,
                                       const loss_vectors<compute_t<T>, S>& vectors) {
  return {.views = {a, b},
          .names = {"a", "b"},
          .columns = two_view_columns::both_views,
          .decoupled = options.decoupled,
          .positive_weighting = options.positive_weighting,
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

/// NT-Xent (Chen et al., SimCLR, arXiv 2002.05709) over the 2N rows z = [a; b], with positives i ↔
/// i + N and s = cos(z, z) / temperature:
///     loss_i = −s_i,p(i) + log Σ_{j≠i} exp s_ij;   decoupled: j ≠ p(i) as well;
/// with positive_weighting −w_i s_i,p(i), where w is a constant.
///
/// a, b: N × D. loss: 1 element (mean or sum over 2N) or 2N (reduce::none; a's rows, then b's).
/// `statistics`, if given, receives 2N numbers for nt_xent_backward. Never stores a 2N × 2N matrix.
/// NaN or ∞ in a row makes every row loss NaN, since all rows read it.
template <any_context Context, class A, class B, class T = std::remove_const_t<A>>
requires same_element<A, B>
void nt_xent(Context& ctx, const matrix_view<A, Context::space>& a,
             const matrix_view<B, Context::space>& b, loss_destination<Context, T> loss,
             const std::type_identity_t<nt_xent_options<T, Context::space>>& options = {},
             statistics_destination<Context, T> statistics = {}) {
  constexpr std::string_view op = "nt_xent";
  detail::two_view_call<Context, T> call(
      ctx, op,
      detail::nt_xent_problem<T, Context::space>(stop_gradient(a), stop_gradient(b), options,
                                                 {.statistics = statistics, .loss = loss}));
  detail::run_forward(ctx, op, call, loss, statistics);
}

/// The same loss, returned as a number; for mean and sum only.
template <host_context Context, class A, class B, class T = std::remove_const_t<A>>
requires same_element<A, B> compute_t<T> nt_xent(
    Context& ctx, const matrix_view<A>& a, const matrix_view<B>& b,
    const std::type_identity_t<nt_xent_options<T>>& options = {}) {
  return detail::returned<T>("nt_xent", options.reduction,
                             [&](auto loss) { nt_xent(ctx, a, b, loss, options); });
}

/// The gradients from the `statistics` (2N) that nt_xent wrote, for a `cotangent` of one element or
/// 2N (reduce::none). Logits are recomputed.
template <any_context Context, element T>
void nt_xent_backward(
    Context& ctx, const operand<T, 2, Context::space>& a, const operand<T, 2, Context::space>& b,
    loss_source<Context, T> statistics, loss_source<Context, T> cotangent,
    const std::type_identity_t<nt_xent_options<T, Context::space>>& options = {}) {
  constexpr std::string_view op = "nt_xent_backward";
  detail::two_view_call<Context, T> call(
      ctx, op,
      detail::nt_xent_problem<T, Context::space>(
          a, b, options, {.cotangent = cotangent, .kept_statistics = statistics}));
  detail::run_backward(ctx, op, call, statistics, cotangent);
}

/// Loss and gradients in one call, for a cotangent of options.gradient_scale. The gradient with
/// respect to a row of norm ≤ 1e-12 is zero.
template <any_context Context, element T>
void nt_xent_with_gradients(
    Context& ctx, const operand<T, 2, Context::space>& a, const operand<T, 2, Context::space>& b,
    loss_destination<Context, T> loss,
    const std::type_identity_t<nt_xent_options<T, Context::space>>& options = {}) {
  constexpr std::string_view op = "nt_xent_with_gradients";
  detail::two_view_call<Context, T> call(
      ctx, op, detail::nt_xent_problem<T, Context::space>(a, b, options, {.loss = loss}));
  detail::run_with_gradients(ctx, op, call, loss);
}

/// The same, with the loss returned as a number; for mean and sum only.
template <host_context Context, element T>
compute_t<T> nt_xent_with_gradients(Context& ctx, const operand<T>& a, const operand<T>& b,
                                    const std::type_identity_t<nt_xent_options<T>>& options = {}) {
  return detail::returned<T>("nt_xent_with_gradients", options.reduction,
                             [&](auto loss) { nt_xent_with_gradients(ctx, a, b, loss, options); });
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
