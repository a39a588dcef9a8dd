// What negative_cosine may be told, and what it refuses, on every backend.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "feaug/core/element.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/reduce.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/row_reduction.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// The two customary ways to write the same thing.
enum class cosine_form {
  byol,  ///< 2 − 2·cos: the squared distance of the unit vectors (Grill et al., arXiv 2006.07733)
  simsiam,  ///< −cos (Chen and He, arXiv 2011.10566)
};

/// Options of negative_cosine. T is the element type of the features.
template <element T, memory_space Space = memory_space::host>
struct negative_cosine_options {
  cosine_form form = cosine_form::byol;
  /// mean and sum give one number, none a loss a row.
  reduce reduction = reduce::mean;
  /// Multiplies every gradient, not the loss: a loss scaler, the share of a micro-batch.
  double gradient_scale = 1;
  /// N weights that multiply the row losses and their gradients. The mean still divides by N.
  vector_view<const compute_t<T>, Space> row_weights = {};
};

namespace detail {

/// What messages call a target.
inline std::string target_name(std::size_t which, std::size_t count) {
  return count == 1 ? "target" : "targets[" + std::to_string(which) + "]";
}

/// Checks a call's arguments; how its rows are reduced.
template <element T, memory_space S>
row_reduction<compute_t<T>, S> negative_cosine_arguments(
    std::string_view op, const operand<T, 2, S>& prediction,
    std::span<const operand<T, 2, S>> targets, const negative_cosine_options<T, S>& options,
    const vector_view<const compute_t<T>, S>& cotangent) {
  if (targets.empty()) check::fail(op, "targets", "none", "at least one");
  for (std::size_t k = 0; k < targets.size(); ++k) {
    const std::string name = target_name(k, targets.size());
    check::two_views(op, "prediction", prediction, name, targets[k]);
    for (std::size_t before = 0; before < k; ++before)
      check::apart(op, target_name(before, targets.size()), targets[before], name, targets[k]);
  }
  const row_reduction<compute_t<T>, S> reduction = {.reduction = options.reduction,
                                                    .rows = prediction.value.rows(),
                                                    .weights = options.row_weights,
                                                    .gradient_scale = options.gradient_scale,
                                                    .cotangent = cotangent};
  reduction.validate(op);
  return reduction;
}

}  // namespace detail
}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
