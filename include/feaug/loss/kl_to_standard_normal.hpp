// KL divergence of learned Gaussians from the standard normal distribution: the prior term of a
// variational auto-encoder.
#pragma once

#include "feaug/header_begin.hpp"

#include <string_view>
#include <type_traits>

#include "feaug/core/any_context.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/elementary.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/reduce.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/loss_verbs.hpp"
#include "feaug/loss/row_reduction.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Options of kl_to_standard_normal. T is the element type of the features.
template <element T, memory_space Space = memory_space::host>
struct kl_to_standard_normal_options {
  /// mean and sum give one number, none gives one loss per row.
  reduce reduction = reduce::mean;
  /// Multiplies every gradient, not the loss: for the β of a β-VAE or a loss scaler.
  double gradient_scale = 1;
  /// N weights that multiply the row losses and their gradients. The mean still divides by N.
  vector_view<const compute_t<T>, Space> row_weights = {};
};

namespace detail {

/// One feature's divergence, and its derivatives with respect to mean and log-variance.
struct normal_divergence {
  double value;
  double by_mean;
  double by_log_variance;

  /// exp(v) − 1 − v uses expm1, which is accurate near v = 0.
  FEAUG_HD normal_divergence(double mean, double log_variance) {
    const double excess = feaug::detail::expm1(log_variance);  // variance − 1
    value = 0.5 * (mean * mean + (excess - log_variance));
    by_mean = mean;
    by_log_variance = 0.5 * excess;
  }
};

/// Checks a call's arguments. Returns how its row losses are reduced.
template <element T, memory_space S>
row_reduction<compute_t<T>, S> kl_to_standard_normal_arguments(
    std::string_view op, const operand<T, 2, S>& mean, const operand<T, 2, S>& log_variance,
    const kl_to_standard_normal_options<T, S>& options,
    const loss_vectors<compute_t<T>, S>& vectors) {
  check::two_views(op, "mean", mean, "log_variance", log_variance);
  check::loss_memory(op, options, vectors)
      .uses("mean", mean)
      .uses("log_variance", log_variance)
      .require_apart();
  return reduction_of<T>(op, options, mean.value.rows(), vectors);
}

/// One call of the loss, see loss_verbs.hpp.
template <class Context, element T>
struct kl_to_standard_normal_call {
  static_assert(is_included<Context>,
                "include feaug/cpu/loss/kl_to_standard_normal.hpp or "
                "feaug/cuda/loss/kl_to_standard_normal.cuh");
};

}  // namespace detail

/// loss_i = ½ Σ_j (mean² + exp(log_variance) − 1 − log_variance): the Kullback–Leibler divergence
/// KL(N(mean, exp(log_variance)) ‖ N(0, 1)) of a row's independent Gaussians (Kingma and Welling,
/// arXiv 1312.6114, appendix B). Summed in double.
///
/// mean, log_variance: N × D. loss: 1 element or N (reduce::none). The gradient is mean with
/// respect to mean, and ½(exp(log_variance) − 1) with respect to log_variance. log_variance is not
/// clamped to the bounds of latent_noise; above 709 the loss is ∞. NaN or ∞ in a row makes its loss
/// NaN or ∞.
template <any_context Context, class P, class Q, class T = std::remove_const_t<P>>
requires same_element<P, Q>
void kl_to_standard_normal(
    Context& ctx, const matrix_view<P, Context::space>& mean,
    const matrix_view<Q, Context::space>& log_variance, loss_destination<Context, T> loss,
    const std::type_identity_t<kl_to_standard_normal_options<T, Context::space>>& options = {}) {
  constexpr std::string_view op = "kl_to_standard_normal";
  detail::kl_to_standard_normal_call<Context, T> call(
      ctx, op, stop_gradient(mean), stop_gradient(log_variance), options, {.loss = loss});
  detail::run_loss(ctx, op, call, loss);
}

/// The same loss, returned as a number; for mean and sum only.
template <host_context Context, class P, class Q, class T = std::remove_const_t<P>>
requires same_element<P, Q> compute_t<T> kl_to_standard_normal(
    Context& ctx, const matrix_view<P>& mean, const matrix_view<Q>& log_variance,
    const std::type_identity_t<kl_to_standard_normal_options<T>>& options = {}) {
  return detail::returned<T>("kl_to_standard_normal", options.reduction, [&](auto loss) {
    kl_to_standard_normal(ctx, mean, log_variance, loss, options);
  });
}

/// The gradients for a `cotangent` of one element or N (reduce::none). Needs no statistics.
template <any_context Context, element T>
void kl_to_standard_normal_backward(
    Context& ctx, const operand<T, 2, Context::space>& mean,
    const operand<T, 2, Context::space>& log_variance, loss_source<Context, T> cotangent,
    const std::type_identity_t<kl_to_standard_normal_options<T, Context::space>>& options = {}) {
  constexpr std::string_view op = "kl_to_standard_normal_backward";
  detail::kl_to_standard_normal_call<Context, T> call(ctx, op, mean, log_variance, options,
                                                      {.cotangent = cotangent});
  detail::run_backward(op, call, cotangent);
}

/// Loss and gradients in one pass over memory, for a cotangent of options.gradient_scale.
template <any_context Context, element T>
void kl_to_standard_normal_with_gradients(
    Context& ctx, const operand<T, 2, Context::space>& mean,
    const operand<T, 2, Context::space>& log_variance, loss_destination<Context, T> loss,
    const std::type_identity_t<kl_to_standard_normal_options<T, Context::space>>& options = {}) {
  constexpr std::string_view op = "kl_to_standard_normal_with_gradients";
  detail::kl_to_standard_normal_call<Context, T> call(ctx, op, mean, log_variance, options,
                                                      {.loss = loss});
  detail::run_loss(ctx, op, call, loss);
}

/// The same, with the loss returned as a number; for mean and sum only.
template <host_context Context, element T>
compute_t<T> kl_to_standard_normal_with_gradients(
    Context& ctx, const operand<T>& mean, const operand<T>& log_variance,
    const std::type_identity_t<kl_to_standard_normal_options<T>>& options = {}) {
  return detail::returned<T>(
      "kl_to_standard_normal_with_gradients", options.reduction, [&](auto loss) {
        kl_to_standard_normal_with_gradients(ctx, mean, log_variance, loss, options);
      });
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
