// What soft_neighbour_contrast may be told, and what it refuses, on every backend.
#pragma once

#include <string_view>

#include "feaug/core/element.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/reduce.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/loss/row_reduction.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Options of soft_neighbour_contrast. T is the element type of the features.
template <element T, memory_space Space = memory_space::host>
struct soft_neighbour_contrast_options {
  /// Divides the logits; above 0.
  double temperature = 0.1;
  /// Divides the cosines that the neighbours' labels are made of; above 0. SNCLR has none: 1.
  double label_temperature = 1;
  /// What a row's neighbours weigh together, beside the 1 of its own key; at least 0. SNCLR: 1.
  double neighbour_weight = 1;
  /// N × D rows that look at the neighbours to make the labels. Left out: the queries, as
  /// constants. SNCLR takes the features before the predictor and lets the gradient flow into them:
  /// differentiable(z, dz).
  operand<T, 2, Space> attention = {};
  /// mean and sum give one number, none a loss a row.
  reduce reduction = reduce::mean;
  /// Whether all rows are divided by their norms first.
  bool normalize = true;
  /// Multiplies every gradient, not the loss: a loss scaler, the share of a micro-batch.
  double gradient_scale = 1;
  /// N weights that multiply the row losses and their gradients. The mean still divides by N.
  vector_view<const compute_t<T>, Space> row_weights = {};
};

namespace detail {

/// Checks a call's arguments; how its rows are reduced.
template <element T, memory_space S>
row_reduction<compute_t<T>, S> soft_neighbour_contrast_arguments(
    std::string_view op, const operand<T, 2, S>& queries, const matrix_view<const T, S>& keys,
    const matrix_view<const T, S>& neighbours, const soft_neighbour_contrast_options<T, S>& options,
    const vector_view<const compute_t<T>, S>& cotangent) {
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
    check::apart(op, "queries", queries, "attention", options.attention);
  }
  const auto written = [&](std::string_view name, const operand<T, 2, S>& x) {
    if (!x.wants_gradient()) return;
    check::apart(op, name, x.gradient, "keys", keys);
    check::apart(op, name, x.gradient, "neighbours", neighbours);
  };
  written("gradient of queries", queries);
  written("gradient of attention", options.attention);
  check::positive(op, "temperature", options.temperature);
  check::positive(op, "label_temperature", options.label_temperature);
  check::finite(op, "neighbour_weight", options.neighbour_weight);
  if (options.neighbour_weight < 0)
    check::fail(op, "neighbour_weight", check::text(options.neighbour_weight), "at least 0");
  const row_reduction<compute_t<T>, S> reduction = {.reduction = options.reduction,
                                                    .rows = rows,
                                                    .weights = options.row_weights,
                                                    .gradient_scale = options.gradient_scale,
                                                    .cotangent = cotangent};
  reduction.validate(op);
  return reduction;
}

}  // namespace detail
}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
