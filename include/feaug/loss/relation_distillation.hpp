// What relation_distillation may be told, and what it refuses, on every backend.
#pragma once

#include <cstdint>
#include <string_view>

#include "feaug/core/element.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/reduce.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/loss/row_reduction.hpp"
#include "feaug/queue/support_rows.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Options of relation_distillation. T is the element type of the features.
template <element T, memory_space Space = memory_space::host>
struct relation_distillation_options {
  /// Divides the queries' logits; above 0.
  double temperature = 0.1;
  /// Divides the keys' logits; above 0. Below `temperature`, so that the teacher is the sharper.
  double teacher_temperature = 0.04;
  /// mean and sum give one number, none a loss a row.
  reduce reduction = reduce::mean;
  /// Whether queries, keys and support are divided by their norms first. Rows of a queue that
  /// stores them unit are taken as they are.
  bool normalize = true;
  /// N sample ids: rows of a queue whose id is the query's own take no part in either soft-max.
  vector_view<const std::int64_t, Space> exclude_ids = {};
  /// Multiplies every gradient, not the loss: a loss scaler, the share of a micro-batch.
  double gradient_scale = 1;
  /// N weights that multiply the row losses and their gradients. The mean still divides by N.
  vector_view<const compute_t<T>, Space> row_weights = {};
};

namespace detail {

/// Checks a call's arguments; how its rows are reduced.
template <element T, memory_space S>
row_reduction<compute_t<T>, S> relation_distillation_arguments(
    std::string_view op, const operand<T, 2, S>& queries, const matrix_view<const T, S>& keys,
    const support_rows<T, S>& support, const relation_distillation_options<T, S>& options,
    const vector_view<const compute_t<T>, S>& cotangent) {
  const index_t rows = queries.value.rows();
  const index_t cols = queries.value.cols();
  check::valid(op, "queries", queries);
  check::not_empty(op, "queries", queries.value);
  check::readable(op, "keys", keys);
  check::has_shape(op, "keys", keys, rows, cols, "queries");
  check::valid(op, support, cols, "queries");
  check::exclusion(op, support, options.exclude_ids, rows, "one a query");
  if constexpr (S == memory_space::host) {
    if (support.filled() == 0) check::fail(op, "queue", "no filled rows", "at least one");
    check::leaves_some<T>(op, support, options.exclude_ids, queries.value, {},
                          "one that is left for every query");
  }
  if (queries.wants_gradient()) {
    check::apart(op, "gradient of queries", queries.gradient, "keys", keys);
    check::apart(op, "gradient of queries", queries.gradient, support.rows_name(), support.rows());
  }
  check::positive(op, "temperature", options.temperature);
  check::positive(op, "teacher_temperature", options.teacher_temperature);
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
