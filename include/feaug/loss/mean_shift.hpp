// What mean_shift may be told, and what it refuses, on every backend.
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

/// Options of mean_shift. T is the element type of the features.
template <element T, memory_space Space = memory_space::host>
struct mean_shift_options {
  /// How many neighbours of its target a prediction is drawn to, 1 … the filled rows.
  index_t k = 5;
  /// mean and sum give one number, none a loss a row.
  reduce reduction = reduce::mean;
  /// N sample ids: rows of a queue whose id is the target's own are passed over. A row's loss is
  /// the mean over those that are left.
  vector_view<const std::int64_t, Space> exclude_ids = {};
  /// Multiplies every gradient, not the loss: a loss scaler, the share of a micro-batch.
  double gradient_scale = 1;
  /// N weights that multiply the row losses and their gradients. The mean still divides by N.
  vector_view<const compute_t<T>, Space> row_weights = {};
};

namespace detail {

/// Checks what all entries take; how the rows are reduced.
template <element T, memory_space S>
row_reduction<compute_t<T>, S> mean_shift_arguments(
    std::string_view op, const operand<T, 2, S>& prediction, const support_rows<T, S>& support,
    const mean_shift_options<T, S>& options, const vector_view<const compute_t<T>, S>& cotangent) {
  check::valid(op, "prediction", prediction);
  check::not_empty(op, "prediction", prediction.value);
  check::valid(op, support, prediction.value.cols(), "prediction");
  if constexpr (S == memory_space::host) {
    if (support.filled() == 0) check::fail(op, "queue", "no filled rows", "at least one to find");
    check::within(op, "k", options.k, 1, support.filled());
  } else {
    check::within(op, "k", options.k, 1, support.rows().rows());
  }
  if (prediction.wants_gradient()) {
    check::apart(op, "gradient of prediction", prediction.gradient, support.rows_name(),
                 support.rows());
  }
  const row_reduction<compute_t<T>, S> reduction = {.reduction = options.reduction,
                                                    .rows = prediction.value.rows(),
                                                    .weights = options.row_weights,
                                                    .gradient_scale = options.gradient_scale,
                                                    .cotangent = cotangent};
  reduction.validate(op);
  return reduction;
}

/// Checks what a search for the neighbours takes, and where its slots go (if anywhere).
template <element T, memory_space S>
void mean_shift_search_arguments(std::string_view op, const operand<T, 2, S>& prediction,
                                 const matrix_view<const T, S>& targets,
                                 const support_rows<T, S>& support,
                                 const mean_shift_options<T, S>& options,
                                 const matrix_view<index_t, S>& indices) {
  const matrix_view<const T, S>& p = prediction.value;
  check::readable(op, "targets", targets);
  check::has_shape(op, "targets", targets, p.rows(), p.cols(), "prediction");
  if (prediction.wants_gradient())
    check::apart(op, "gradient of prediction", prediction.gradient, "targets", targets);
  check::exclusion(op, support, options.exclude_ids, p.rows(), "one a row");
  if constexpr (S == memory_space::host) {
    check::leaves_some<T>(op, support, options.exclude_ids, targets, {},
                          "a neighbour for every target");
  }
  check::writable(op, "indices", indices);
  if (indices.data != nullptr)
    check::has_shape(op, "indices", indices, p.rows(), options.k, "prediction and k ask for");
}

/// Checks the slots that a forward pass found.
template <element T, memory_space S>
void mean_shift_found_arguments(std::string_view op, const operand<T, 2, S>& prediction,
                                const support_rows<T, S>& support,
                                const mean_shift_options<T, S>& options,
                                const matrix_view<const index_t, S>& indices) {
  check::readable(op, "indices", indices);
  check::has_shape(op, "indices", indices, prediction.value.rows(), options.k,
                   "prediction and k ask for");
  check::found_slots(op, support, indices, {});
}

}  // namespace detail
}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
