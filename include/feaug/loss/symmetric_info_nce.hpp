// What symmetric_info_nce may be told, on every backend.
#pragma once

#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/reduce.hpp"
#include "feaug/loss/two_view_contrast.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Options of symmetric_info_nce. T is the element type of the features.
template <element T, memory_space Space = memory_space::host>
struct symmetric_info_nce_options {
  /// Divides the logits; above 0. The losses are finite down to 1e-3.
  double temperature = 0.1;
  /// mean and sum give one number, none a loss a row.
  reduce reduction = reduce::mean;
  /// Whether rows are divided by their norms first.
  bool normalize = true;
  /// A temperature of one element to use in place of `temperature`, with its gradient.
  operand<compute_t<T>, 1, Space> learnable_temperature = {};
  /// Multiplies every gradient, not the loss.
  double gradient_scale = 1;
  /// N weights that multiply the row losses and their gradients. The mean still divides by N.
  vector_view<const compute_t<T>, Space> row_weights = {};
};

namespace detail {

template <element T, memory_space S>
two_view_problem<T, S> symmetric_info_nce_problem(
    const operand<T, 2, S>& queries, const operand<T, 2, S>& keys,
    const symmetric_info_nce_options<T, S>& options,
    const vector_view<const compute_t<T>, S>& cotangent = {}) {
  return {.views = {queries, keys},
          .names = {"queries", "keys"},
          .columns = two_view_columns::other_view,
          .decoupled = false,
          .normalize = options.normalize,
          .temperature = options.temperature,
          .learnable_temperature = options.learnable_temperature,
          .reduction = {.reduction = options.reduction,
                        .rows = 0,
                        .weights = options.row_weights,
                        .gradient_scale = options.gradient_scale,
                        .cotangent = cotangent}};
}

}  // namespace detail

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
