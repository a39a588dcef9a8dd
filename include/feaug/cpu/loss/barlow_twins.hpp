// The Barlow Twins loss: every feature agrees with itself across the views, and with no other.
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
#include "feaug/loss/barlow_twins.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace detail {

/// A validated call.
template <element T>
class barlow_twins_call {
 public:
  using C = compute_t<T>;

  barlow_twins_call(cpu_context& ctx, std::string_view op, const operand<T>& a, const operand<T>& b,
                    const barlow_twins_options& options, vector_view<const C> cotangent = {})
      : ctx_(ctx), scratch_(ctx.workspace), a_(a), b_(b), options_(options) {
    reduction_ = barlow_twins_arguments(op, a, b, options, cotangent);
  }

  /// Writes the loss, if there is somewhere to, and the gradients that are wanted.
  void run(vector_view<C> loss) {
    if (loss.empty() && !a_.wants_gradient() && !b_.wants_gradient()) return;
    const index_t features = reduction_.rows;
    measure_ = {.lambda = options_.lambda,
                .diagonal = scratch_.template take<double>(features),
                .off = scratch_.template take<double>(features),
                .losses = loss.empty() ? nullptr : scratch_.template take<double>(features)};
    const double* const losses = measure_.losses;
    const scaled_columns<T> a = standardised(a_.value);
    const scaled_columns<T> b = standardised(b_.value);
    if (a_.wants_gradient() || (losses != nullptr && !b_.wants_gradient())) {
      pass(a_, a, b);
      measure_.losses = nullptr;  // one pass is enough to know the loss
    }
    if (b_.wants_gradient()) pass(b_, b, a);
    if (!loss.empty()) cpu::write_loss(reduction_, losses, loss);
  }

 private:
  scaled_columns<T> standardised(const matrix_view<const T>& x) {
    auto* mean = scratch_.template take<double>(x.cols());
    auto* factor = scratch_.template take<double>(x.cols());
    cpu::column_moments<T>(ctx_, {.x = x}, mean, factor);
    for (index_t j = 0; j < x.cols(); ++j)
      factor[j] = inverse_deviation(factor[j], x.rows(), options_.eps);
    return {.x = x, .mean = mean, .factor = factor};
  }

  void pass(const operand<T>& x, const scaled_columns<T>& own, const scaled_columns<T>& other) {
    const barlow_twins_gradient<T, memory_space::host> gradient = {.own = own,
                                                                   .other = other,
                                                                   .lambda = options_.lambda,
                                                                   .diagonal = measure_.diagonal,
                                                                   .off = measure_.off,
                                                                   .reduction = reduction_};
    cpu::cross_moments_pass<T>(ctx_,
                               {.x = own,
                                .y = other,
                                .scale = 1.0 / static_cast<double>(own.x.rows()),
                                .strip_elements = cpu::moment_strip_elements<T>},
                               measure_, x, gradient);
  }

  cpu_context& ctx_;
  workspace::scope scratch_;
  operand<T> a_;
  operand<T> b_;
  barlow_twins_options options_;
  row_reduction<C> reduction_;
  barlow_twins_measure measure_ = {};
};

}  // namespace detail

/// The Barlow Twins loss (Zbontar et al., arXiv 2103.03230): with C_jk the correlation of feature j
/// of a and feature k of b over the batch,
///     loss = Σ_j (1 − C_jj)² + lambda · Σ_{j≠k} C_jk².
///
/// a and b N × D, as they are (rows are not normalised), N ≥ 2; loss 1 element. C = âᵀb̂ / N from
/// features standardised over the batch: (x − mean) / √(variance + eps), the variance biased. The
/// gradient goes through mean and variance. NaN or ∞ in an input makes the loss NaN. Scratch: at
/// most 8 MiB of C, tiles of at most 0.8 MiB a thread, 56 bytes a feature.
template <class A, class B, class T = std::remove_const_t<A>>
requires element<T> && std::same_as<T, std::remove_const_t<B>>
void barlow_twins(cpu_context& ctx, const matrix_view<A>& a, const matrix_view<B>& b,
                  std::type_identity_t<vector_view<compute_t<T>>> loss,
                  const barlow_twins_options& options = {}) {
  detail::barlow_twins_call<T> call(ctx, "barlow_twins", stop_gradient(a), stop_gradient(b),
                                    options);
  check::loss_outputs("barlow_twins", loss, 1, {}, 0);
  call.run(loss);
}

/// The same loss as a number.
template <class A, class B, class T = std::remove_const_t<A>>
requires element<T> && std::same_as<T, std::remove_const_t<B>> compute_t<T> barlow_twins(
    cpu_context& ctx, const matrix_view<A>& a, const matrix_view<B>& b,
    const barlow_twins_options& options = {}) {
  compute_t<T> loss{};
  barlow_twins(ctx, a, b, scalar(loss), options);
  return loss;
}

/// The gradients for a `cotangent` of one element. Needs no statistics: C is computed again.
template <element T>
void barlow_twins_backward(cpu_context& ctx, const operand<T>& a, const operand<T>& b,
                           std::type_identity_t<vector_view<const compute_t<T>>> cotangent,
                           const barlow_twins_options& options = {}) {
  detail::barlow_twins_call<T> call(ctx, "barlow_twins_backward", a, b, options, cotangent);
  check::has_size("barlow_twins_backward", "cotangent", cotangent, 1, "the elements of the loss");
  call.run({});
}

/// Loss and gradients in one go, for a cotangent of options.gradient_scale: two products of N × D ×
/// D a side.
template <element T>
void barlow_twins_with_gradients(cpu_context& ctx, const operand<T>& a, const operand<T>& b,
                                 std::type_identity_t<vector_view<compute_t<T>>> loss,
                                 const barlow_twins_options& options = {}) {
  detail::barlow_twins_call<T> call(ctx, "barlow_twins_with_gradients", a, b, options);
  check::loss_outputs("barlow_twins_with_gradients", loss, 1, {}, 0);
  call.run(loss);
}

/// The same, with the loss as a number.
template <element T>
compute_t<T> barlow_twins_with_gradients(cpu_context& ctx, const operand<T>& a, const operand<T>& b,
                                         const barlow_twins_options& options = {}) {
  compute_t<T> loss{};
  barlow_twins_with_gradients(ctx, a, b, scalar(loss), options);
  return loss;
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
