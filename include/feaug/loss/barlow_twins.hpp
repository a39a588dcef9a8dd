// What barlow_twins may be told, what it refuses, and its formulas, on every backend.
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

/// Options of barlow_twins.
struct barlow_twins_options {
  /// What a squared correlation of two different features weighs.
  double lambda = 5e-3;
  /// Is added to every variance, as batch normalisation does.
  double eps = 1e-5;
  /// Multiplies every gradient, not the loss: a loss scaler.
  double gradient_scale = 1;
};

namespace detail {

/// Checks a call's arguments; how its losses, one a feature, become one number.
template <element T, memory_space S>
row_reduction<compute_t<T>, S> barlow_twins_arguments(
    std::string_view op, const operand<T, 2, S>& a, const operand<T, 2, S>& b,
    const barlow_twins_options& options, const vector_view<const compute_t<T>, S>& cotangent) {
  check::two_batches(op, "a", a, "b", b);
  check::finite(op, "lambda", options.lambda);
  check::positive(op, "eps", options.eps);
  const row_reduction<compute_t<T>, S> reduction = {.reduction = reduce::sum,
                                                    .rows = a.value.cols(),
                                                    .gradient_scale = options.gradient_scale,
                                                    .cotangent = cotangent};
  reduction.validate(op);
  return reduction;
}

/// 1 / σ of a column from its squared deviations, the variance biased.
FEAUG_HD inline double inverse_deviation(double squares, index_t rows, double eps) {
  return 1.0 / std::sqrt(squares / static_cast<double>(rows) + eps);
}

/// What a row of correlations C is worth: feature j's loss, and what its gradient needs.
struct barlow_twins_measure {
  double lambda;
  double* diagonal;  ///< C_jj
  double* off;       ///< Σ_{k≠j} C_jk²
  double* losses;    ///< null where no loss is wanted

  FEAUG_HD void operator()(index_t j, double correlation, double others) const {
    diagonal[j] = correlation;
    off[j] = others;
    if (losses != nullptr) losses[j] = (1.0 - correlation) * (1.0 - correlation) + lambda * others;
  }
};

/// The gradient by an element of the view that `own` is. With ĝ = ∂L/∂x̂ / 2,
///     N · ĝ_ij = λ Σ_{k≠j} C_jk ŷ_ik − (1 − C_jj) ŷ_ij,
/// and through the batch's statistics (ĝ_ij − x̂_ij · mean_i(ĝ x̂)_j) / σ_j, where the mean is known
/// from C alone. (ĝ has mean 0, since ŷ has.)
template <element T, memory_space S>
struct barlow_twins_gradient {
  scaled_columns<T, S> own;
  scaled_columns<T, S> other;
  double lambda;
  const double* diagonal;
  const double* off;
  row_reduction<compute_t<T>, S> reduction;

  FEAUG_HD double operator()(index_t i, index_t j, double sum) const {
    const double missing = 1.0 - diagonal[j];
    const double along = lambda * off[j] - missing * diagonal[j];
    const double weight =
        2.0 * reduction.gradient_weight(0) * own.factor[j] / static_cast<double>(own.x.rows());
    return weight * (lambda * sum - missing * other(i, j) - along * own(i, j));
  }
};

}  // namespace detail
}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
