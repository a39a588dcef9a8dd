// What info_nce may be told, and what it refuses, on every backend.
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

/// Options of info_nce. T is the element type of the features.
template <element T, memory_space Space = memory_space::host>
struct info_nce_options {
  /// Divides the logits; above 0. The cosine losses are finite down to 1e-3.
  double temperature = 0.1;
  /// mean and sum give one number, none a loss a row.
  reduce reduction = reduce::mean;
  /// Query i's positive is key i + positive_offset: a rank's place in the keys of all ranks.
  index_t positive_offset = 0;
  /// Whether the other keys are negatives. MoCo: false, only `negatives` are.
  bool in_batch_negatives = true;
  /// Whether rows are divided by their norms first.
  bool normalize = true;
  /// K × D rows that join every query's sum: a support queue. With stop_gradient they cost no
  /// gradient.
  operand<T, 2, Space> negatives = {};
  /// A temperature of one element to use in place of `temperature`, with its gradient.
  operand<compute_t<T>, 1, Space> learnable_temperature = {};
  /// Multiplies every gradient, not the loss: a loss scaler, the share of a micro-batch.
  double gradient_scale = 1;
  /// N weights that multiply the row losses and their gradients. The mean still divides by N.
  vector_view<const compute_t<T>, Space> row_weights = {};
};

namespace detail {

/// Checks a call's arguments; how its rows are reduced.
template <element T, memory_space S>
row_reduction<compute_t<T>, S> info_nce_arguments(
    std::string_view op, const operand<T, 2, S>& queries, const operand<T, 2, S>& keys,
    const info_nce_options<T, S>& options, const vector_view<const compute_t<T>, S>& cotangent) {
  check::valid(op, "queries", queries);
  check::valid(op, "keys", keys);
  check::valid(op, "negatives", options.negatives);
  check::not_empty(op, "queries", queries.value);
  const index_t rows = queries.value.rows();
  const index_t cols = queries.value.cols();
  check::has_columns(op, "keys", keys.value, cols, "queries");
  if (!options.negatives.value.empty())
    check::has_columns(op, "negatives", options.negatives.value, cols, "queries");
  check::apart(op, "queries", queries, "keys", keys);
  check::apart(op, "queries", queries, "negatives", options.negatives);
  check::apart(op, "keys", keys, "negatives", options.negatives);
  if (options.positive_offset < 0 || options.positive_offset + rows > keys.value.rows()) {
    check::fail(op, "keys", check::text(keys.value.rows()) + " rows",
                "at least " + check::text(rows) + " queries + positive_offset " +
                    check::text(options.positive_offset) + " (an offset of at least 0)");
  }
  check::temperature(op, options.temperature, options.learnable_temperature);
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
