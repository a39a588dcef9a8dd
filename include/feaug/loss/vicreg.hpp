// What vicreg may be told, what it refuses, and its formulas, on every backend.
#pragma once

#include <cmath>
#include <string_view>

#include "feaug/core/columns.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/reduce.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/row_reduction.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Options of vicreg: what each of its three terms weighs.
struct vicreg_options {
  double invariance = 25;
  double variance = 25;
  double covariance = 1;
  /// Is added to every variance, so that its root has a slope at 0.
  double eps = 1e-4;
  /// Multiplies every gradient, not the loss: a loss scaler.
  double gradient_scale = 1;
};

namespace detail {

/// Checks a call's arguments; how its losses, one a feature, become one number.
template <element T, memory_space S>
row_reduction<compute_t<T>, S> vicreg_arguments(
    std::string_view op, const operand<T, 2, S>& a, const operand<T, 2, S>& b,
    const vicreg_options& options, const vector_view<const compute_t<T>, S>& cotangent) {
  check::two_batches(op, "a", a, "b", b);
  check::finite(op, "invariance", options.invariance);
  check::finite(op, "variance", options.variance);
  check::finite(op, "covariance", options.covariance);
  check::positive(op, "eps", options.eps);
  const row_reduction<compute_t<T>, S> reduction = {.reduction = reduce::sum,
                                                    .rows = a.value.cols(),
                                                    .gradient_scale = options.gradient_scale,
                                                    .cotangent = cotangent};
  reduction.validate(op);
  return reduction;
}

/// Feature j's share of the mean squared difference of the views: what its loss begins with.
template <element T, memory_space S>
struct vicreg_invariance {
  matrix_view<const T, S> a;
  matrix_view<const T, S> b;
  double weight;
  double* losses;

  FEAUG_HD double operator()(index_t i, index_t j) const {
    const double difference =
        static_cast<double>(load(a(i, j))) - static_cast<double>(load(b(i, j)));
    return difference * difference;
  }
  FEAUG_HD void put(index_t j, double sum) const {
    losses[j] = weight * sum / (static_cast<double>(a.rows()) * static_cast<double>(a.cols()));
  }
};

/// What one view's variances and covariances are worth: added to feature j's loss, and what its
/// gradient needs.
struct vicreg_measure {
  vicreg_options options;
  index_t rows;
  index_t features;
  const double* squares;  ///< Σ (x − mean)² of every column
  double* pull;           ///< ∂(variance term) / ∂x_ij, divided by x_ij − mean_j
  double* losses;         ///< null where no loss is wanted

  FEAUG_HD void operator()(index_t j, double /*variance*/, double covariances) const {
    const double all = static_cast<double>(features);
    const double unbiased = static_cast<double>(rows - 1);
    const double deviation = std::sqrt(squares[j] / unbiased + options.eps);
    const bool spread = deviation >= 1.0;  // false for NaN, which is to reach loss and gradient
    pull[j] = spread ? 0.0 : -0.5 * options.variance / (all * unbiased * deviation);
    if (losses == nullptr) return;
    const double hinge = spread ? 0.0 : 1.0 - deviation;
    losses[j] += (0.5 * options.variance * hinge + options.covariance * covariances) / all;
  }
};

/// The gradient by an element of the view that `own` is (centred, not scaled).
template <element T, memory_space S>
struct vicreg_gradient {
  scaled_columns<T, S> own;
  matrix_view<const T, S> other;
  vicreg_options options;
  const double* pull;
  row_reduction<compute_t<T>, S> reduction;

  FEAUG_HD double operator()(index_t i, index_t j, double sum) const {
    const double all = static_cast<double>(own.x.cols());
    const double rows = static_cast<double>(own.x.rows());
    const double difference =
        static_cast<double>(load(own.x(i, j))) - static_cast<double>(load(other(i, j)));
    const double gradient = 4.0 * options.covariance / (all * (rows - 1.0)) * sum +
                            pull[j] * own(i, j) +
                            2.0 * options.invariance / (all * rows) * difference;
    return reduction.gradient_weight(0) * gradient;
  }
};

}  // namespace detail
}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
