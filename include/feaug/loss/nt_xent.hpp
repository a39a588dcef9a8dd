// What nt_xent may be told, on every backend.
#pragma once

#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/reduce.hpp"
#include "feaug/loss/two_view_contrast.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Options of nt_xent. T is the element type of the features.
template <element T, memory_space Space = memory_space::host>
struct nt_xent_options {
  /// Divides the logits; above 0. The losses are finite down to 1e-3.
  double temperature = 0.1;
  /// mean and sum give one number, none a loss a row.
  reduce reduction = reduce::mean;
  /// Leaves the positive out of the denominator (DCL; Yeh et al., arXiv 2110.06848). Needs N ≥ 2.
  bool decoupled = false;
  /// σ of DCLW, in the same paper 0.5: the positive's logit is multiplied by 2 −
  /// N·softmax_i(cos(a_i, b_i) / σ), a constant, so that pairs which already agree pull less. 0:
  /// by 1. Needs decoupled.
  double positive_weighting = 0;
  /// Whether rows are divided by their norms first.
  bool normalize = true;
  /// A temperature of one element to use in place of `temperature`, with its gradient.
  operand<compute_t<T>, 1, Space> learnable_temperature = {};
  /// Multiplies every gradient, not the loss.
  double gradient_scale = 1;
  /// 2N weights that multiply the row losses and their gradients. The mean still divides by 2N.
  vector_view<const compute_t<T>, Space> row_weights = {};
};

namespace detail {

template <element T, memory_space S>
two_view_problem<T, S> nt_xent_problem(const operand<T, 2, S>& a, const operand<T, 2, S>& b,
                                       const nt_xent_options<T, S>& options,
                                       const vector_view<const compute_t<T>, S>& cotangent = {}) {
  return {.views = {a, b},
          .names = {"a", "b"},
          .columns = two_view_columns::both_views,
          .decoupled = options.decoupled,
          .positive_weighting = options.positive_weighting,
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
