// Masked prediction: a loss between prediction and target over the masked features only.
#pragma once

#include "feaug/header_begin.hpp"

#include <cmath>
#include <concepts>
#include <string_view>
#include <type_traits>

#include "feaug/augment/augmentation.hpp"
#include "feaug/augment/mask.hpp"
#include "feaug/core/any_context.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/finite.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/reduce.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/loss_verbs.hpp"
#include "feaug/loss/row_reduction.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// How a prediction is compared with its target.
enum class prediction_form {
  smooth_l1,  ///< d² / (2·beta) below |d| = beta, |d| − beta/2 above (Huber loss / beta)
  squared,    ///< d²
  cosine,     ///< 2 − 2·cos over a row's masked features, one number per row
};

/// The masks that masked_prediction accepts. It needs to know which features a mask keeps.
template <class P, class T, memory_space Space>
concept mask_policy = std::same_as<P, mask> || std::same_as<P, fixed_count_mask> ||
    std::same_as<P, block_mask> || std::same_as<P, mask_from_policy<T, Space>>;

/// Options of masked_prediction. T is the element type of the features.
template <element T, memory_space Space = memory_space::host>
struct masked_prediction_options {
  prediction_form form = prediction_form::smooth_l1;
  /// |d| at which smooth_l1 changes from quadratic to linear; at least 0. 0 gives |d|.
  double beta = 1;
  /// mean (over all masked features; for cosine over the rows with a masked feature) and sum give
  /// one number. none gives one loss per row: the sum over its masked features.
  reduce reduction = reduce::mean;
  /// Multiplies every gradient, not the loss: for a loss scaler or the share of a micro-batch.
  double gradient_scale = 1;
  /// N weights that multiply the row losses and their gradients. The mean still divides by the
  /// number of masked features (for cosine: of rows with one).
  vector_view<const compute_t<T>, Space> row_weights = {};
};

namespace detail {

/// The loss of one difference, and its derivative.
struct difference_loss {
  double loss;
  double slope;
};

FEAUG_HD inline difference_loss loss_of_difference(prediction_form form, double beta, double d) {
  if (form == prediction_form::squared) return {d * d, 2.0 * d};
  const double size = std::fabs(d);
  if (size < beta) return {0.5 * d * d / beta, d / beta};
  // The derivative of |d| at 0 is 0; NaN stays NaN.
  return {size - 0.5 * beta, d > 0 ? 1.0 : (d < 0 ? -1.0 : d)};
}

/// Checks a call's arguments. Returns how its row losses are reduced. The error messages of the
/// mask's options begin with the mask's name.
template <class P, element T, memory_space S>
row_reduction<compute_t<T>, S> masked_prediction_arguments(
    std::string_view op, const operand<T, 2, S>& prediction, const operand<T, 2, S>& target,
    const P& policy, const random_key& key, const masked_prediction_options<T, S>& options,
    const loss_vectors<compute_t<T>, S>& vectors) {
  check::two_views(op, "prediction", prediction, "target", target);
  if (!is_finite(options.beta) || options.beta < 0)
    check::fail(op, "beta", check::text(options.beta), "a finite number of at least 0");
  using traits = augmentation_traits<P>;
  check::usable(op, key, prediction.value.rows(), prediction.value.cols(), traits::streams, S);
  traits::validate(policy, prediction.value.rows(), prediction.value.cols());
  check::call_memory memory = check::loss_memory(op, options, vectors);
  memory.uses("prediction", prediction).uses("target", target);
  check::policy_apart(policy, memory);
  return reduction_of<T>(op, options, prediction.value.rows(), vectors);
}

/// One call of the loss, see loss_verbs.hpp.
template <class Context, element T, class P>
struct masked_prediction_call {
  static_assert(is_included<Context>,
                "include feaug/cpu/loss/masked_prediction.hpp or "
                "feaug/cuda/loss/masked_prediction.cuh");
};

}  // namespace detail

/// loss_i = Σ ℓ(prediction_ij − target_ij) over the features j that the mask does not keep, with ℓ
/// the smooth L1 loss or the square; or 2 − 2·cos of the masked features of both rows
/// (prediction_form). As in masked auto-encoders (He et al., arXiv 2111.06377), applied to
/// features: the input is masked, and the loss covers only the masked features.
///
/// * prediction, target: N × D.
/// * policy, key: as given to `augment`: mask{…}, fixed_count_mask{…} or block_mask{…}, which are
/// drawn again and not stored; or mask_from(keep), with keep N × D of 0 (masked) and 1, and any
/// key. The policy's rescale has no effect.
/// * loss: 1 element or N (reduce::none). The mean is over all masked features, for cosine over the
/// rows that have one; if there is none the loss is 0.
///
/// Gradients are 0 at kept features. Kept features are not read, so NaN there does not spread. NaN
/// or ∞ at a masked feature makes its row's loss NaN or ∞. Rows whose masked features have norm ≤
/// 1e-12 have cosine 0 and gradient 0.
template <any_context Context, class Q, class R, class P, class T = std::remove_const_t<Q>>
requires same_element<Q, R> && mask_policy<P, T, Context::space>
void masked_prediction(
    Context& ctx, const matrix_view<Q, Context::space>& prediction,
    const matrix_view<R, Context::space>& target, const P& policy, const random_key& key,
    loss_destination<Context, T> loss,
    const std::type_identity_t<masked_prediction_options<T, Context::space>>& options = {}) {
  constexpr std::string_view op = "masked_prediction";
  detail::masked_prediction_call<Context, T, P> call(ctx, op, stop_gradient(prediction),
                                                     stop_gradient(target), policy, key, options,
                                                     {.loss = loss});
  detail::run_loss(ctx, op, call, loss);
}

/// The same loss, returned as a number; for mean and sum only.
template <host_context Context, class Q, class R, class P, class T = std::remove_const_t<Q>>
requires same_element<Q, R> && mask_policy<P, T, Context::space> compute_t<T> masked_prediction(
    Context& ctx, const matrix_view<Q>& prediction, const matrix_view<R>& target, const P& policy,
    const random_key& key, const std::type_identity_t<masked_prediction_options<T>>& options = {}) {
  return detail::returned<T>("masked_prediction", options.reduction, [&](auto loss) {
    masked_prediction(ctx, prediction, target, policy, key, loss, options);
  });
}

/// The gradients for a `cotangent` of one element or N (reduce::none). Needs no statistics.
template <any_context Context, element T, class P>
requires mask_policy<P, T, Context::space>
void masked_prediction_backward(
    Context& ctx, const operand<T, 2, Context::space>& prediction,
    const operand<T, 2, Context::space>& target, const P& policy, const random_key& key,
    loss_source<Context, T> cotangent,
    const std::type_identity_t<masked_prediction_options<T, Context::space>>& options = {}) {
  constexpr std::string_view op = "masked_prediction_backward";
  detail::masked_prediction_call<Context, T, P> call(ctx, op, prediction, target, policy, key,
                                                     options, {.cotangent = cotangent});
  detail::run_backward(op, call, cotangent);
}

/// Loss and gradients in one call, for a cotangent of options.gradient_scale.
template <any_context Context, element T, class P>
requires mask_policy<P, T, Context::space>
void masked_prediction_with_gradients(
    Context& ctx, const operand<T, 2, Context::space>& prediction,
    const operand<T, 2, Context::space>& target, const P& policy, const random_key& key,
    loss_destination<Context, T> loss,
    const std::type_identity_t<masked_prediction_options<T, Context::space>>& options = {}) {
  constexpr std::string_view op = "masked_prediction_with_gradients";
  detail::masked_prediction_call<Context, T, P> call(ctx, op, prediction, target, policy, key,
                                                     options, {.loss = loss});
  detail::run_loss(ctx, op, call, loss);
}

/// The same, with the loss returned as a number; for mean and sum only.
template <host_context Context, element T, class P>
requires mask_policy<P, T, Context::space> compute_t<T> masked_prediction_with_gradients(
    Context& ctx, const operand<T>& prediction, const operand<T>& target, const P& policy,
    const random_key& key, const std::type_identity_t<masked_prediction_options<T>>& options = {}) {
  return detail::returned<T>("masked_prediction_with_gradients", options.reduction, [&](auto loss) {
    masked_prediction_with_gradients(ctx, prediction, target, policy, key, loss, options);
  });
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
