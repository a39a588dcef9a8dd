// How far learned Gaussians are from the standard normal distribution: the prior's term of a
// variational auto-encoder.
#pragma once

#include <concepts>
#include <string_view>
#include <type_traits>

#include "feaug/core/operand.hpp"
#include "feaug/core/reduce.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/put_gradient.hpp"
#include "feaug/cpu/core/rows.hpp"
#include "feaug/cpu/loss/row_loss.hpp"
#include "feaug/loss/kl_to_standard_normal.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace detail {

template <element T>
class kl_to_standard_normal_call {
 public:
  using C = compute_t<T>;

  kl_to_standard_normal_call(cpu_context& ctx, std::string_view op, const operand<T>& mean,
                             const operand<T>& log_variance,
                             const kl_to_standard_normal_options<T>& options,
                             vector_view<const C> cotangent = {})
      : ctx_(ctx), mean_(mean), log_variance_(log_variance) {
    reduction_ = kl_to_standard_normal_arguments(op, mean, log_variance, options, cotangent);
  }

  [[nodiscard]] index_t outputs() const { return reduction_.outputs(); }

  /// One pass over both matrices: row losses, and the gradients that are wanted.
  void run(vector_view<C> loss) {
    const index_t rows = reduction_.rows;
    const index_t cols = mean_.value.cols();
    workspace::scope scratch(ctx_.workspace);
    auto* row_losses = scratch.take<double>(rows);
    const cpu::row_buffers<C> slopes(ctx_, scratch, cols);
    cpu::for_each_row(ctx_, rows, cols, {}, [&](index_t i, int worker) {
      const double weight = reduction_.gradient_weight(i);
      C* const by_log_variance = slopes.of(worker);
      double sum = 0;
      for (index_t j = 0; j < cols; ++j) {
        const normal_divergence at(static_cast<double>(load(mean_.value(i, j))),
                                   static_cast<double>(load(log_variance_.value(i, j))));
        sum += at.value;
        by_log_variance[j] = static_cast<C>(weight * at.by_log_variance);
      }
      row_losses[i] = sum;
      cpu::put_gradient(mean_, i, [&](index_t j) {
        return static_cast<C>(weight * static_cast<double>(load(mean_.value(i, j))));
      });
      cpu::put_gradient(log_variance_, i, [&](index_t j) { return by_log_variance[j]; });
    });
    if (!loss.empty()) cpu::write_loss(reduction_, row_losses, loss);
  }

 private:
  cpu_context& ctx_;
  operand<T> mean_;
  operand<T> log_variance_;
  row_reduction<C> reduction_;
};

}  // namespace detail

/// loss_i = ½ Σ_j (mean² + exp(log_variance) − 1 − log_variance): the Kullback–Leibler divergence
/// KL(N(mean, exp(log_variance)) ‖ N(0, 1)) of a row's independent Gaussians (Kingma and Welling,
/// arXiv 1312.6114, appendix B). Summed in double.
///
/// mean and log_variance N × D, loss 1 element or N (reduce::none). Gradients: mean, and
/// ½(exp(log_variance) − 1). Log-variances are taken as they are, whatever bounds latent_noise has:
/// above 709 the loss is ∞. NaN or ∞ in a row makes its loss NaN or ∞. Scratch: 8 bytes a row, and
/// a row a thread.
template <class P, class Q, class T = std::remove_const_t<P>>
requires element<T> && std::same_as<T, std::remove_const_t<Q>>
void kl_to_standard_normal(
    cpu_context& ctx, const matrix_view<P>& mean, const matrix_view<Q>& log_variance,
    std::type_identity_t<vector_view<compute_t<T>>> loss,
    const std::type_identity_t<kl_to_standard_normal_options<T>>& options = {}) {
  constexpr std::string_view op = "kl_to_standard_normal";
  detail::kl_to_standard_normal_call<T> call(ctx, op, stop_gradient(mean),
                                             stop_gradient(log_variance), options);
  check::loss_outputs(op, loss, call.outputs(), {}, 0);
  call.run(loss);
}

/// The same loss as a number, for mean and sum.
template <class P, class Q, class T = std::remove_const_t<P>>
requires element<T> && std::same_as<T, std::remove_const_t<Q>> compute_t<T> kl_to_standard_normal(
    cpu_context& ctx, const matrix_view<P>& mean, const matrix_view<Q>& log_variance,
    const std::type_identity_t<kl_to_standard_normal_options<T>>& options = {}) {
  check::one_number("kl_to_standard_normal", options.reduction);
  compute_t<T> loss{};
  kl_to_standard_normal(ctx, mean, log_variance, scalar(loss), options);
  return loss;
}

/// The gradients for a `cotangent` of one element or N (reduce::none). Needs no statistics.
template <element T>
void kl_to_standard_normal_backward(
    cpu_context& ctx, const operand<T>& mean, const operand<T>& log_variance,
    std::type_identity_t<vector_view<const compute_t<T>>> cotangent,
    const std::type_identity_t<kl_to_standard_normal_options<T>>& options = {}) {
  constexpr std::string_view op = "kl_to_standard_normal_backward";
  detail::kl_to_standard_normal_call<T> call(ctx, op, mean, log_variance, options, cotangent);
  check::has_cotangent(op, cotangent);
  call.run({});
}

/// Loss and gradients in one pass over memory, for a cotangent of options.gradient_scale.
template <element T>
void kl_to_standard_normal_with_gradients(
    cpu_context& ctx, const operand<T>& mean, const operand<T>& log_variance,
    std::type_identity_t<vector_view<compute_t<T>>> loss,
    const std::type_identity_t<kl_to_standard_normal_options<T>>& options = {}) {
  constexpr std::string_view op = "kl_to_standard_normal_with_gradients";
  detail::kl_to_standard_normal_call<T> call(ctx, op, mean, log_variance, options);
  check::loss_outputs(op, loss, call.outputs(), {}, 0);
  call.run(loss);
}

/// The same, with the loss as a number, for mean and sum.
template <element T>
compute_t<T> kl_to_standard_normal_with_gradients(
    cpu_context& ctx, const operand<T>& mean, const operand<T>& log_variance,
    const std::type_identity_t<kl_to_standard_normal_options<T>>& options = {}) {
  check::one_number("kl_to_standard_normal_with_gradients", options.reduction);
  compute_t<T> loss{};
  kl_to_standard_normal_with_gradients(ctx, mean, log_variance, scalar(loss), options);
  return loss;
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
