// Options and argument checks of assignment_loss, shared by all backends.
#pragma once

#include <string_view>

#include "feaug/core/element.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/reduce.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/loss/assignment.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/row_reduction.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Options of assignment_loss. T is the element type of the scores.
template <element T, memory_space Space = memory_space::host>
struct assignment_loss_options {
  /// Divides the scores that predict; above 0.
  double temperature = 0.1;
  /// mean and sum give one number, none a loss a row.
  reduce reduction = reduce::mean;
  /// Multiplies every gradient, not the loss: a loss scaler, the share of a pair of crops.
  double gradient_scale = 1;
  /// N weights that multiply the row losses and their gradients. The mean still divides by N.
  vector_view<const compute_t<T>, Space> row_weights = {};
};

namespace detail {

/// Checks a call's arguments; how its rows are reduced.
template <element T, memory_space S>
row_reduction<compute_t<T>, S> assignment_loss_arguments(
    std::string_view op, const operand<T, 2, S>& scores, const assignment_target<T, S>& target,
    const assignment_loss_options<T, S>& options,
    const vector_view<const compute_t<T>, S>& cotangent) {
  check::valid(op, "scores", scores);
  check::not_empty(op, "scores", scores.value);
  check::readable(op, "target.scores", target.scores);
  check::has_shape(op, "target.scores", target.scores, scores.value.rows(), scores.value.cols(),
                   "scores");
  check::readable(op, "target.potentials", target.potentials);
  check::has_size(op, "target.potentials", target.potentials, scores.value.cols(),
                  "a number a prototype");
  if (scores.wants_gradient()) {
    check::apart(op, "gradient of scores", scores.gradient, "target.scores", target.scores);
    check::apart(op, "gradient of scores", scores.gradient, "target.potentials",
                 as_column(target.potentials));
  }
  check::positive(op, "target.epsilon", target.epsilon);
  if (target.iterations < 0)
    check::fail(op, "target.iterations", check::text(target.iterations), "at least 0");
  check::positive(op, "temperature", options.temperature);
  const row_reduction<compute_t<T>, S> reduction = {.reduction = options.reduction,
                                                    .rows = scores.value.rows(),
                                                    .weights = options.row_weights,
                                                    .gradient_scale = options.gradient_scale,
                                                    .cotangent = cotangent};
  reduction.validate(op);
  return reduction;
}

}  // namespace detail
}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
