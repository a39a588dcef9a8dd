// What kl_to_standard_normal may be told, what it refuses, and an element of its sum, on every
// backend.
#pragma once

#include <cmath>
#include <string_view>

#include "feaug/core/element.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/reduce.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/row_reduction.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Options of kl_to_standard_normal. T is the element type of the features.
template <element T, memory_space Space = memory_space::host>
struct kl_to_standard_normal_options {
  /// mean and sum give one number, none a loss a row.
  reduce reduction = reduce::mean;
  /// Multiplies every gradient, not the loss: the β of a β-VAE, a loss scaler.
  double gradient_scale = 1;
  /// N weights that multiply the row losses and their gradients. The mean still divides by N.
  vector_view<const compute_t<T>, Space> row_weights = {};
};

namespace detail {

/// One feature's divergence, and its slopes by mean and log-variance.
struct normal_divergence {
  double value;
  double by_mean;
  double by_log_variance;

  /// exp(v) − 1 − v by expm1, which keeps the digits near v = 0.
  FEAUG_HD normal_divergence(double mean, double log_variance) {
    const double excess = std::expm1(log_variance);  // variance − 1
    value = 0.5 * (mean * mean + (excess - log_variance));
    by_mean = mean;
    by_log_variance = 0.5 * excess;
  }
};

/// Checks a call's arguments; how its rows are reduced.
template <element T, memory_space S>
row_reduction<compute_t<T>, S> kl_to_standard_normal_arguments(
    std::string_view op, const operand<T, 2, S>& mean, const operand<T, 2, S>& log_variance,
    const kl_to_standard_normal_options<T, S>& options,
    const vector_view<const compute_t<T>, S>& cotangent) {
  check::two_views(op, "mean", mean, "log_variance", log_variance);
  const row_reduction<compute_t<T>, S> reduction = {.reduction = options.reduction,
                                                    .rows = mean.value.rows(),
                                                    .weights = options.row_weights,
                                                    .gradient_scale = options.gradient_scale,
                                                    .cotangent = cotangent};
  reduction.validate(op);
  return reduction;
}

}  // namespace detail
}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
