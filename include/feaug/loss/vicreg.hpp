// VICReg: invariance between views, a minimum variance per feature, decorrelated features.
#pragma once

#include "feaug/header_begin.hpp"

#include <string_view>
#include <type_traits>

#include "feaug/core/any_context.hpp"
#include "feaug/core/columns.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/elementary.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/reduce.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/loss_verbs.hpp"
#include "feaug/loss/row_reduction.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Options of vicreg; the first three are the weights of its terms.
struct vicreg_options {
  double invariance = 25;
  double variance = 25;
  double covariance = 1;
  /// Added to every variance, so that the derivative of the square root is finite at 0.
  double eps = 1e-4;
  /// Multiplies every gradient, not the loss: for a loss scaler.
  double gradient_scale = 1;
};

namespace detail {

/// Checks a call's arguments. Returns the reduction: the sum of D losses, one per feature.
template <element T, memory_space S>
row_reduction<compute_t<T>, S> vicreg_arguments(std::string_view op, const operand<T, 2, S>& a,
                                                const operand<T, 2, S>& b,
                                                const vicreg_options& options,
                                                const loss_vectors<compute_t<T>, S>& vectors) {
  check::two_batches(op, "a", a, "b", b);
  check::finite(op, "invariance", options.invariance);
  check::finite(op, "variance", options.variance);
  check::finite(op, "covariance", options.covariance);
  check::positive(op, "eps", options.eps);
  check::loss_memory(op, options, vectors).uses("a", a).uses("b", b).require_apart();
  return reduction_of<T>(op, options, a.value.cols(), vectors);
}

/// Initialises feature j's loss with its share of the views' mean squared difference.
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

/// From one view's variances and covariances: adds to feature j's loss and stores what its gradient
/// needs.
struct vicreg_measure {
  vicreg_options options;
  index_t rows;
  index_t features;
  const double* squares;   ///< Σ (x − mean)² per column
  double* variance_slope;  ///< ∂(variance term) / ∂x_ij, divided by x_ij − mean_j
  double* losses;          ///< null: no loss is wanted

  FEAUG_HD void operator()(index_t j, double /*variance*/, double covariances) const {
    const double all = static_cast<double>(features);
    const double unbiased = static_cast<double>(rows - 1);
    const double deviation = feaug::detail::sqrt(squares[j] / unbiased + options.eps);
    const bool spread = deviation >= 1.0;  // false for NaN, so that it reaches loss and gradient
    variance_slope[j] = spread ? 0.0 : -0.5 * options.variance / (all * unbiased * deviation);
    if (losses == nullptr) return;
    const double hinge = spread ? 0.0 : 1.0 - deviation;
    losses[j] += (0.5 * options.variance * hinge + options.covariance * covariances) / all;
  }
};

/// The gradient with respect to an element of the view `own` (centred, not scaled).
template <element T, memory_space S>
struct vicreg_gradient {
  scaled_columns<T, S> own;
  matrix_view<const T, S> other;
  vicreg_options options;
  const double* variance_slope;
  row_reduction<compute_t<T>, S> reduction;

  FEAUG_HD double operator()(index_t i, index_t j, double sum) const {
    const double all = static_cast<double>(own.x.cols());
    const double rows = static_cast<double>(own.x.rows());
    const double difference =
        static_cast<double>(load(own.x(i, j))) - static_cast<double>(load(other(i, j)));
    const double gradient = 4.0 * options.covariance / (all * (rows - 1.0)) * sum +
                            variance_slope[j] * own(i, j) +
                            2.0 * options.invariance / (all * rows) * difference;
    return reduction.gradient_weight(0) * gradient;
  }
};

/// One call of the loss, see loss_verbs.hpp.
template <class Context, element T>
struct vicreg_call {
  static_assert(is_included<Context>,
                "include feaug/cpu/loss/vicreg.hpp or feaug/cuda/loss/vicreg.cuh");
};

}  // namespace detail

/// VICReg (Bardes et al., arXiv 2105.04906): with V and C a view's unbiased variances and
/// covariances over the batch,
///     loss = invariance · mean (a − b)² + variance · ½ Σ_views mean_j max(0, 1 − √(V_j + eps))
///          + covariance · Σ_views Σ_{j≠k} C_jk² / D.
///
/// a, b: N × D, N ≥ 2; rows are not normalised. loss: 1 element. The mean of squares is over all
/// N·D elements. The gradient goes through means and variances; where √(V + eps) = 1, the gradient
/// of the hinge is 0. NaN or ∞ in an input makes the loss NaN.
template <any_context Context, class A, class B, class T = std::remove_const_t<A>>
requires same_element<A, B>
void vicreg(Context& ctx, const matrix_view<A, Context::space>& a,
            const matrix_view<B, Context::space>& b, loss_destination<Context, T> loss,
            const vicreg_options& options = {}) {
  constexpr std::string_view op = "vicreg";
  detail::vicreg_call<Context, T> call(ctx, op, stop_gradient(a), stop_gradient(b), options,
                                       {.loss = loss});
  detail::run_loss(ctx, op, call, loss);
}

/// The same loss, returned as a number.
template <host_context Context, class A, class B, class T = std::remove_const_t<A>>
requires same_element<A, B> compute_t<T> vicreg(Context& ctx, const matrix_view<A>& a,
                                                const matrix_view<B>& b,
                                                const vicreg_options& options = {}) {
  return detail::returned<T>("vicreg", reduce::sum,
                             [&](auto loss) { vicreg(ctx, a, b, loss, options); });
}

/// The gradients for a `cotangent` of one element. Needs no statistics: C is recomputed.
template <any_context Context, element T>
void vicreg_backward(Context& ctx, const operand<T, 2, Context::space>& a,
                     const operand<T, 2, Context::space>& b, loss_source<Context, T> cotangent,
                     const vicreg_options& options = {}) {
  constexpr std::string_view op = "vicreg_backward";
  detail::vicreg_call<Context, T> call(ctx, op, a, b, options, {.cotangent = cotangent});
  check::has_size(op, "cotangent", cotangent, 1, "the elements of the loss");
  call.run({});
}

/// Loss and gradients in one call, for a cotangent of options.gradient_scale: one matrix product of
/// N × D × D per view, and one more per gradient.
template <any_context Context, element T>
void vicreg_with_gradients(Context& ctx, const operand<T, 2, Context::space>& a,
                           const operand<T, 2, Context::space>& b,
                           loss_destination<Context, T> loss, const vicreg_options& options = {}) {
  constexpr std::string_view op = "vicreg_with_gradients";
  detail::vicreg_call<Context, T> call(ctx, op, a, b, options, {.loss = loss});
  detail::run_loss(ctx, op, call, loss);
}

/// The same, with the loss returned as a number.
template <host_context Context, element T>
compute_t<T> vicreg_with_gradients(Context& ctx, const operand<T>& a, const operand<T>& b,
                                   const vicreg_options& options = {}) {
  return detail::returned<T>("vicreg_with_gradients", reduce::sum,
                             [&](auto loss) { vicreg_with_gradients(ctx, a, b, loss, options); });
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
