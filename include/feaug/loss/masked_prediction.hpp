// What masked_prediction may be told, what it refuses, and what it asks of one element, on every
// backend.
#pragma once

#include <cmath>
#include <concepts>
#include <string>
#include <string_view>

#include "feaug/augment/augmentation.hpp"
#include "feaug/augment/mask.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/reduce.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/row_reduction.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// How a prediction is held against its target.
enum class prediction_form {
  smooth_l1,  ///< d² / (2·beta) below |d| = beta, |d| − beta/2 from there on (Huber's loss / beta)
  squared,  ///< d²
  cosine,   ///< 2 − 2·cos over a row's masked features, one number a row
};

/// Masks: those that masked_prediction takes, since it asks them what they keep.
template <class P, class T, memory_space Space>
concept mask_policy = std::same_as<P, mask> || std::same_as<P, fixed_count_mask> ||
    std::same_as<P, block_mask> || std::same_as<P, drawn_mask_policy<T, Space>>;

/// Options of masked_prediction. T is the element type of the features.
template <element T, memory_space Space = memory_space::host>
struct masked_prediction_options {
  prediction_form form = prediction_form::smooth_l1;
  /// Where smooth_l1 turns from a parabola into straight lines; at least 0, and 0 is |d|.
  double beta = 1;
  /// mean (over the masked features; for cosine over the rows that have one) and sum give one
  /// number, none a loss a row: the sum over its masked features.
  reduce reduction = reduce::mean;
  /// Multiplies every gradient, not the loss: a loss scaler, the share of a micro-batch.
  double gradient_scale = 1;
  /// N weights that multiply the row losses and their gradients. The mean still divides by how many
  /// features (rows) count.
  vector_view<const compute_t<T>, Space> row_weights = {};
};

namespace detail {

/// The loss of one difference and its slope.
struct difference_loss {
  double loss;
  double slope;
};

FEAUG_HD inline difference_loss loss_of_difference(prediction_form form, double beta, double d) {
  if (form == prediction_form::squared) return {d * d, 2.0 * d};
  const double size = std::fabs(d);
  if (size < beta) return {0.5 * d * d / beta, d / beta};
  // The slope of |d| at 0 is 0; NaN stays NaN.
  return {size - 0.5 * beta, d > 0 ? 1.0 : (d < 0 ? -1.0 : d)};
}

/// Checks a call's arguments; how its rows are reduced.
template <element T, memory_space S>
row_reduction<compute_t<T>, S> masked_prediction_arguments(
    std::string_view op, const operand<T, 2, S>& prediction, const operand<T, 2, S>& target,
    const masked_prediction_options<T, S>& options,
    const vector_view<const compute_t<T>, S>& cotangent) {
  check::two_views(op, "prediction", prediction, "target", target);
  if (!(std::isfinite(options.beta) && options.beta >= 0))
    check::fail(op, "beta", check::text(options.beta), "a finite number of at least 0");
  const row_reduction<compute_t<T>, S> reduction = {.reduction = options.reduction,
                                                    .rows = prediction.value.rows(),
                                                    .weights = options.row_weights,
                                                    .gradient_scale = options.gradient_scale,
                                                    .cotangent = cotangent};
  reduction.validate(op);
  return reduction;
}

/// The mask fits and, if it was drawn before, lies apart from where gradients go. Errors of the
/// mask begin with the mask's name.
template <class P, element T, memory_space S>
void mask_arguments(std::string_view op, const P& policy, const random_key& key,
                    const operand<T, 2, S>& prediction, const operand<T, 2, S>& target) {
  using traits = augmentation_traits<P>;
  check::usable(op, key, prediction.value.rows(), prediction.value.cols(), traits::streams, S);
  traits::validate(policy, prediction.value.rows(), prediction.value.cols());
  traits::check_backward(policy, prediction, {});
  traits::check_backward(policy, target, {});
}

}  // namespace detail
}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
