// What supervised_contrastive may be told, and what it refuses, on every backend.
#pragma once

#include <string_view>

#include "feaug/core/element.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/reduce.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/row_reduction.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Options of supervised_contrastive. T is the element type of the features.
template <element T, memory_space Space = memory_space::host>
struct supervised_contrastive_options {
  /// Divides the logits; above 0. The losses are finite down to 1e-3.
  double temperature = 0.1;
  /// mean (over the rows that have a positive) and sum give one number, none a loss a row.
  reduce reduction = reduce::mean;
  /// Whether rows are divided by their norms first.
  bool normalize = true;
  /// A temperature of one element to use in place of `temperature`, with its gradient.
  operand<compute_t<T>, 1, Space> learnable_temperature = {};
  /// Multiplies every gradient, not the loss: a loss scaler, the share of a micro-batch.
  double gradient_scale = 1;
  /// N weights that multiply the row losses and their gradients. The mean still divides by how many
  /// rows have a positive.
  vector_view<const compute_t<T>, Space> row_weights = {};
};

namespace detail {

/// Checks a call's arguments; how its rows are reduced.
template <element T, memory_space S>
row_reduction<compute_t<T>, S> supervised_contrastive_arguments(
    std::string_view op, const operand<T, 2, S>& z, const vector_view<const index_t, S>& labels,
    const supervised_contrastive_options<T, S>& options,
    const vector_view<const compute_t<T>, S>& cotangent) {
  check::valid(op, "z", z);
  check::not_empty(op, "z", z.value);
  check::readable(op, "labels", labels);
  check::has_size(op, "labels", labels, z.value.rows(), "a label a row of z");
  check::temperature(op, options.temperature, options.learnable_temperature);
  const row_reduction<compute_t<T>, S> reduction = {.reduction = options.reduction,
                                                    .rows = z.value.rows(),
                                                    .weights = options.row_weights,
                                                    .gradient_scale = options.gradient_scale,
                                                    .cotangent = cotangent};
  reduction.validate(op);
  return reduction;
}

}  // namespace detail
}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
