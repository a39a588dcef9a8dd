// Options and argument checks of swapped_assignment, shared by all backends.
#pragma once

#include <string>
#include <string_view>
#include <type_traits>

#include "feaug/core/element.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/reduce.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/row_reduction.hpp"
#include "feaug/loss/sinkhorn.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Options of swapped_assignment. T is the element type of the scores.
template <element T, memory_space Space = memory_space::host>
struct swapped_assignment_options {
  /// Divides the scores that predict; above 0.
  double temperature = 0.1;
  /// Of the assignments, see sinkhorn_options.
  double epsilon = 0.05;
  index_t iterations = 3;
  /// Further rows of scores of either view, any number × P, that take part in the balance of its
  /// assignments alone: those of a queue of features.
  matrix_view<const T, Space> extra_scores_a = {};
  matrix_view<const T, Space> extra_scores_b = {};
  /// mean and sum give one number, none a loss a row.
  reduce reduction = reduce::mean;
  /// Multiplies every gradient, not the loss.
  double gradient_scale = 1;
  /// N weights that multiply the row losses and their gradients. The mean still divides by N.
  vector_view<const compute_t<T>, Space> row_weights = {};
};

namespace detail {

/// Checks a call's arguments; how its rows are reduced.
template <element T, memory_space S>
row_reduction<compute_t<T>, S> swapped_assignment_arguments(
    std::string_view op, const operand<T, 2, S>& a, const operand<T, 2, S>& b,
    const swapped_assignment_options<T, S>& options,
    const vector_view<const compute_t<T>, S>& cotangent) {
  check::two_views(op, "scores_a", a, "scores_b", b);
  check::positive(op, "temperature", options.temperature);
  check::sinkhorn_numbers(op, options.epsilon, options.iterations);
  const auto extra = [&](std::string_view name, const matrix_view<const T, S>& x) {
    check::extra_scores<T>(op, name, x, a.value.cols(), "scores_a");
    if (a.wants_gradient()) check::apart(op, "gradient of scores_a", a.gradient, name, x);
    if (b.wants_gradient()) check::apart(op, "gradient of scores_b", b.gradient, name, x);
  };
  extra("extra_scores_a", options.extra_scores_a);
  extra("extra_scores_b", options.extra_scores_b);
  const row_reduction<compute_t<T>, S> reduction = {.reduction = options.reduction,
                                                    .rows = a.value.rows(),
                                                    .weights = options.row_weights,
                                                    .gradient_scale = options.gradient_scale,
                                                    .cotangent = cotangent};
  reduction.validate(op);
  return reduction;
}

}  // namespace detail

namespace check {

/// The potentials of both views, which a forward pass may give out and a backward pass asks for.
template <class N, memory_space S>
void swapped_statistics(std::string_view op, const vector_view<N, S>& statistics,
                        index_t prototypes, std::string_view as) {
  if constexpr (std::is_const_v<N>) {
    readable(op, "statistics", statistics);
  } else {
    writable(op, "statistics", statistics);
    if (statistics.empty()) return;
  }
  has_size(op, "statistics", statistics, 2 * prototypes, as);
}

}  // namespace check
}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
