// The Barlow Twins loss: pushes the cross-correlation matrix of the two views' features to the
// identity.
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

/// Options of barlow_twins.
struct barlow_twins_options {
  /// Weight of the squared correlations of different features.
  double lambda = 5e-3;
  /// Added to every variance, as in batch normalisation.
  double eps = 1e-5;
  /// Multiplies every gradient, not the loss: for a loss scaler.
  double gradient_scale = 1;
};

namespace detail {

/// Checks a call's arguments. Returns the reduction: the sum of D losses, one per feature.
template <element T, memory_space S>
row_reduction<compute_t<T>, S> barlow_twins_arguments(
    std::string_view op, const operand<T, 2, S>& a, const operand<T, 2, S>& b,
    const barlow_twins_options& options, const loss_vectors<compute_t<T>, S>& vectors) {
  check::two_batches(op, "a", a, "b", b);
  check::finite(op, "lambda", options.lambda);
  check::positive(op, "eps", options.eps);
  check::loss_memory(op, options, vectors).uses("a", a).uses("b", b).require_apart();
  return reduction_of<T>(op, options, a.value.cols(), vectors);
}

/// 1 / σ of a column, from its sum of squared deviations; the variance is biased (divided by N).
FEAUG_HD inline double inverse_deviation(double squares, index_t rows, double eps) {
  return 1.0 / feaug::detail::sqrt(squares / static_cast<double>(rows) + eps);
}

/// From row j of the correlations C: feature j's loss, and the values that its gradient needs.
struct barlow_twins_measure {
  double lambda;
  double* diagonal;  ///< C_jj
  double* off;       ///< Σ_{k≠j} C_jk²
  double* losses;    ///< null: no loss is wanted

  FEAUG_HD void operator()(index_t j, double correlation, double others) const {
    diagonal[j] = correlation;
    off[j] = others;
    if (losses != nullptr) losses[j] = (1.0 - correlation) * (1.0 - correlation) + lambda * others;
  }
};

/// The gradient with respect to an element of the view `own`. With ĝ = ∂L/∂x̂ / 2,
///     N · ĝ_ij = λ Σ_{k≠j} C_jk ŷ_ik − (1 − C_jj) ŷ_ij,
/// and through the batch statistics (ĝ_ij − x̂_ij · mean_i(ĝ x̂)_j) / σ_j, where the mean follows
/// from C alone. (ĝ has mean 0, because ŷ has.)
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

/// One call of the loss, see loss_verbs.hpp.
template <class Context, element T>
struct barlow_twins_call {
  static_assert(is_included<Context>,
                "include feaug/cpu/loss/barlow_twins.hpp or feaug/cuda/loss/barlow_twins.cuh");
};

}  // namespace detail

/// The Barlow Twins loss (Zbontar et al., arXiv 2103.03230): with C_jk the correlation of feature j
/// of a and feature k of b over the batch,
///     loss = Σ_j (1 − C_jj)² + lambda · Σ_{j≠k} C_jk².
///
/// a, b: N × D, N ≥ 2; rows are not normalised. loss: 1 element. C = âᵀb̂ / N, where features are
/// standardised over the batch: (x − mean) / √(variance + eps), with the biased variance. The
/// gradient goes through mean and variance. NaN or ∞ in an input makes the loss NaN.
template <any_context Context, class A, class B, class T = std::remove_const_t<A>>
requires same_element<A, B>
void barlow_twins(Context& ctx, const matrix_view<A, Context::space>& a,
                  const matrix_view<B, Context::space>& b, loss_destination<Context, T> loss,
                  const barlow_twins_options& options = {}) {
  constexpr std::string_view op = "barlow_twins";
  detail::barlow_twins_call<Context, T> call(ctx, op, stop_gradient(a), stop_gradient(b), options,
                                             {.loss = loss});
  detail::run_loss(ctx, op, call, loss);
}

/// The same loss, returned as a number.
template <host_context Context, class A, class B, class T = std::remove_const_t<A>>
requires same_element<A, B> compute_t<T> barlow_twins(Context& ctx, const matrix_view<A>& a,
                                                      const matrix_view<B>& b,
                                                      const barlow_twins_options& options = {}) {
  return detail::returned<T>("barlow_twins", reduce::sum,
                             [&](auto loss) { barlow_twins(ctx, a, b, loss, options); });
}

/// The gradients for a `cotangent` of one element. Needs no statistics: C is recomputed.
template <any_context Context, element T>
void barlow_twins_backward(Context& ctx, const operand<T, 2, Context::space>& a,
                           const operand<T, 2, Context::space>& b,
                           loss_source<Context, T> cotangent,
                           const barlow_twins_options& options = {}) {
  constexpr std::string_view op = "barlow_twins_backward";
  detail::barlow_twins_call<Context, T> call(ctx, op, a, b, options, {.cotangent = cotangent});
  check::has_size(op, "cotangent", cotangent, 1, "the elements of the loss");
  call.run({});
}

/// Loss and gradients in one call, for a cotangent of options.gradient_scale: two matrix products
/// of N × D × D per side.
template <any_context Context, element T>
void barlow_twins_with_gradients(Context& ctx, const operand<T, 2, Context::space>& a,
                                 const operand<T, 2, Context::space>& b,
                                 loss_destination<Context, T> loss,
                                 const barlow_twins_options& options = {}) {
  constexpr std::string_view op = "barlow_twins_with_gradients";
  detail::barlow_twins_call<Context, T> call(ctx, op, a, b, options, {.loss = loss});
  detail::run_loss(ctx, op, call, loss);
}

/// The same, with the loss returned as a number.
template <host_context Context, element T>
compute_t<T> barlow_twins_with_gradients(Context& ctx, const operand<T>& a, const operand<T>& b,
                                         const barlow_twins_options& options = {}) {
  return detail::returned<T>("barlow_twins_with_gradients", reduce::sum, [&](auto loss) {
    barlow_twins_with_gradients(ctx, a, b, loss, options);
  });
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
