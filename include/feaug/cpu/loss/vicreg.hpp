// VICReg: the views agree, every feature varies, no two features vary together.
#pragma once

#include <string_view>
#include <type_traits>

#include "feaug/core/columns.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/cpu/core/columns.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/loss/cross_moments.hpp"
#include "feaug/cpu/loss/row_loss.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/vicreg.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace detail {

/// A validated call.
template <element T>
class vicreg_call {
 public:
  using C = compute_t<T>;

  vicreg_call(cpu_context& ctx, std::string_view op, const operand<T>& a, const operand<T>& b,
              const vicreg_options& options, vector_view<const C> cotangent = {})
      : ctx_(ctx), scratch_(ctx.workspace), a_(a), b_(b), options_(options) {
    reduction_ = vicreg_arguments(op, a, b, options, cotangent);
  }

  /// Writes the loss, if there is somewhere to, and the gradients that are wanted.
  void run(vector_view<C> loss) {
    const index_t features = reduction_.rows;
    if (!loss.empty()) {
      losses_ = scratch_.template take<double>(features);
      cpu::sum_columns(ctx_, a_.value.rows(), features,
                       vicreg_invariance<T, memory_space::host>{a_.value, b_.value,
                                                                options_.invariance, losses_});
    }
    view(a_, b_.value);
    view(b_, a_.value);
    if (!loss.empty()) cpu::write_loss(reduction_, losses_, loss);
  }

 private:
  /// One view's variances and covariances.
  void view(const operand<T>& x, const matrix_view<const T>& other) {
    if (losses_ == nullptr && !x.wants_gradient()) return;
    const index_t rows = x.value.rows();
    const index_t features = x.value.cols();
    workspace::scope scratch(ctx_.workspace);
    auto* mean = scratch.take<double>(features);
    auto* squares = scratch.take<double>(features);
    auto* pull = scratch.take<double>(features);
    cpu::column_moments<T>(ctx_, {.x = x.value}, mean, squares);
    const scaled_columns<T> centred = {.x = x.value, .mean = mean};
    const vicreg_measure measure = {.options = options_,
                                    .rows = rows,
                                    .features = features,
                                    .squares = squares,
                                    .pull = pull,
                                    .losses = losses_};
    const vicreg_gradient<T, memory_space::host> gradient = {
        .own = centred, .other = other, .options = options_, .pull = pull, .reduction = reduction_};
    cpu::cross_moments_pass<T>(ctx_,
                               {.x = centred,
                                .y = centred,
                                .scale = 1.0 / static_cast<double>(rows - 1),
                                .strip_elements = cpu::moment_strip_elements<T>},
                               measure, x, gradient);
  }

  cpu_context& ctx_;
  workspace::scope scratch_;
  operand<T> a_;
  operand<T> b_;
  vicreg_options options_;
  row_reduction<C> reduction_;
  double* losses_ = nullptr;
};

}  // namespace detail

/// VICReg (Bardes et al., arXiv 2105.04906): with V and C a view's unbiased variances and
/// covariances over the batch,
///     loss = invariance · mean (a − b)² + variance · ½ Σ_views mean_j max(0, 1 − √(V_j + eps))
///          + covariance · Σ_views Σ_{j≠k} C_jk² / D.
///
/// a and b N × D, as they are (rows are not normalised), N ≥ 2; loss 1 element. The mean of squares
/// is over all N·D elements. The gradient goes through means and variances; at √(V + eps) = 1 the
/// hinge's is 0. NaN or ∞ in an input makes the loss NaN. Scratch: at most 8 MiB of C, tiles of at
/// most 0.8 MiB a thread, 32 bytes a feature.
template <class A, class B, class T = std::remove_const_t<A>>
requires element<T> && std::same_as<T, std::remove_const_t<B>>
void vicreg(cpu_context& ctx, const matrix_view<A>& a, const matrix_view<B>& b,
            std::type_identity_t<vector_view<compute_t<T>>> loss,
            const vicreg_options& options = {}) {
  detail::vicreg_call<T> call(ctx, "vicreg", stop_gradient(a), stop_gradient(b), options);
  check::loss_outputs("vicreg", loss, 1, {}, 0);
  call.run(loss);
}

/// The same loss as a number.
template <class A, class B, class T = std::remove_const_t<A>>
requires element<T> && std::same_as<T, std::remove_const_t<B>> compute_t<T> vicreg(
    cpu_context& ctx, const matrix_view<A>& a, const matrix_view<B>& b,
    const vicreg_options& options = {}) {
  compute_t<T> loss{};
  vicreg(ctx, a, b, scalar(loss), options);
  return loss;
}

/// The gradients for a `cotangent` of one element. Needs no statistics: C is computed again.
template <element T>
void vicreg_backward(cpu_context& ctx, const operand<T>& a, const operand<T>& b,
                     std::type_identity_t<vector_view<const compute_t<T>>> cotangent,
                     const vicreg_options& options = {}) {
  detail::vicreg_call<T> call(ctx, "vicreg_backward", a, b, options, cotangent);
  check::has_size("vicreg_backward", "cotangent", cotangent, 1, "the elements of the loss");
  call.run({});
}

/// Loss and gradients in one go, for a cotangent of options.gradient_scale: a product of N × D × D
/// a view, and one more for each gradient.
template <element T>
void vicreg_with_gradients(cpu_context& ctx, const operand<T>& a, const operand<T>& b,
                           std::type_identity_t<vector_view<compute_t<T>>> loss,
                           const vicreg_options& options = {}) {
  detail::vicreg_call<T> call(ctx, "vicreg_with_gradients", a, b, options);
  check::loss_outputs("vicreg_with_gradients", loss, 1, {}, 0);
  call.run(loss);
}

/// The same, with the loss as a number.
template <element T>
compute_t<T> vicreg_with_gradients(cpu_context& ctx, const operand<T>& a, const operand<T>& b,
                                   const vicreg_options& options = {}) {
  compute_t<T> loss{};
  vicreg_with_gradients(ctx, a, b, scalar(loss), options);
  return loss;
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
