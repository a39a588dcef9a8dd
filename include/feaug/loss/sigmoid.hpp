// What sigmoid may be told, and what it refuses, on every backend.
#pragma once

#include <string_view>

#include "feaug/core/element.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/reduce.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/row_reduction.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Options of sigmoid. T is the element type of the features.
template <element T, memory_space Space = memory_space::host>
struct sigmoid_options {
  /// Multiplies the cosines (1 / temperature in other losses).
  double scale = 10;
  /// Is added to the logits. Where it begins at −10, N − 1 negatives a row do not swamp the start.
  double bias = -10;
  /// mean and sum give one number, none a loss a row of a.
  reduce reduction = reduce::mean;
  /// Whether rows are divided by their norms first.
  bool normalize = true;
  /// A scale of one element to use in place of `scale`, with its gradient.
  operand<compute_t<T>, 1, Space> learnable_scale = {};
  /// A bias of one element to use in place of `bias`, with its gradient.
  operand<compute_t<T>, 1, Space> learnable_bias = {};
  /// Multiplies every gradient, not the loss: a loss scaler, the share of a micro-batch.
  double gradient_scale = 1;
  /// N weights that multiply the row losses and their gradients. The mean still divides by N.
  vector_view<const compute_t<T>, Space> row_weights = {};
};

namespace detail {

/// Checks a call's arguments; how its rows are reduced.
template <element T, memory_space S>
row_reduction<compute_t<T>, S> sigmoid_arguments(
    std::string_view op, const operand<T, 2, S>& a, const operand<T, 2, S>& b,
    const sigmoid_options<T, S>& options, const vector_view<const compute_t<T>, S>& cotangent) {
  check::two_views(op, "a", a, "b", b);
  check::number(op, "scale", options.scale, options.learnable_scale, check::finite);
  check::number(op, "bias", options.bias, options.learnable_bias, check::finite);
  const row_reduction<compute_t<T>, S> reduction = {.reduction = options.reduction,
                                                    .rows = a.value.rows(),
                                                    .weights = options.row_weights,
                                                    .gradient_scale = options.gradient_scale,
                                                    .cotangent = cotangent};
  reduction.validate(op);
  return reduction;
}

}  // namespace detail
}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
