// The sigmoid loss: of every pair of rows alone, do they belong together?
#pragma once

#include <string_view>
#include <type_traits>

#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/reduce.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/parallel.hpp"
#include "feaug/cpu/loss/contrast.hpp"
#include "feaug/cpu/loss/logistic.hpp"
#include "feaug/cpu/loss/row_loss.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/sigmoid.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace detail {

/// A validated call: everything the passes need.
template <element T>
class sigmoid_call {
 public:
  using C = compute_t<T>;

  sigmoid_call(cpu_context& ctx, std::string_view op, const operand<T>& a, const operand<T>& b,
               const sigmoid_options<T>& options, vector_view<const C> cotangent = {})
      : ctx_(ctx), scratch_(ctx.workspace), a_(a), b_(b), options_(options) {
    reduction_ = sigmoid_arguments(op, a, b, options, cotangent);
    scale_ = cpu::number_of(options.scale, options.learnable_scale);
    bias_ = cpu::number_of(options.bias, options.learnable_bias);
  }

  [[nodiscard]] index_t outputs() const { return reduction_.outputs(); }

  /// Norms, and the positives' share of everything. After all checks.
  void prepare() {
    const index_t rows = reduction_.rows;
    a_stack_ = cpu::make_stack<T>(ctx_, scratch_, options_.normalize, a_.value);
    b_stack_ = cpu::make_stack<T>(ctx_, scratch_, options_.normalize, b_.value);
    weights_ = scratch_.template take<double>(rows);
    pulls_ = scratch_.template take<double>(rows);
    row_losses_ = scratch_.template take<double>(rows);
    scale_terms_ = scratch_.template take<double>(rows);
    bias_terms_ = scratch_.template take<double>(rows);
    cpu::for_each_row_block(ctx_, rows, a_.value.cols(), [&](index_t begin, index_t count, int) {
      for (index_t i = begin; i < begin + count; ++i) {
        const double cosine = cpu::dot(a_stack_, i, b_stack_, i, a_.value.cols());
        const double away = -(scale_ * cosine + bias_);
        weights_[i] = reduction_.gradient_weight(i);
        pulls_[i] = sigmoid(away);
        row_losses_[i] = softplus(away);
        scale_terms_[i] = -weights_[i] * pulls_[i] * cosine;
        bias_terms_[i] = -weights_[i] * pulls_[i];
      }
    });
  }

  /// All rows of a against b: the losses if wanted; with `gradients` also the gradients by a, scale
  /// and bias.
  void run_rows(bool losses, bool gradients) {
    const bool by_a = gradients && a_.wants_gradient();
    const bool by_numbers = gradients && (options_.learnable_scale.wants_gradient() ||
                                          options_.learnable_bias.wants_gradient());
    if (!losses && !by_a && !by_numbers) return;
    cpu::logistic_pass(ctx_, a_against_b(), bias_, nullptr, losses || by_numbers, by_a,
                       [&](index_t i, const cpu::logistic_sums& row, C* sum) {
                         row_losses_[i] += row.loss;
                         scale_terms_[i] += weights_[i] * row.weighted_cosine;
                         bias_terms_[i] += weights_[i] * row.weight;
                         if (!by_a) return;
                         b_stack_.add_row(i, -pulls_[i], a_.value.cols(), sum);
                         cpu::finish_gradient(a_, a_stack_, i, i, weights_[i] * scale_, sum);
                       });
    if (!by_numbers) return;
    cpu::write_scalar_gradient(options_.learnable_scale,
                               cpu::sum_in_order(scale_terms_, reduction_.rows));
    cpu::write_scalar_gradient(options_.learnable_bias,
                               cpu::sum_in_order(bias_terms_, reduction_.rows));
  }

  /// The gradient by b: the same pass with the sides exchanged.
  void run_columns() {
    if (!b_.wants_gradient()) return;
    cpu::logistic_pass(ctx_, a_against_b().swapped(), bias_, weights_, false, true,
                       [&](index_t i, const cpu::logistic_sums&, C* sum) {
                         a_stack_.add_row(i, -weights_[i] * pulls_[i], b_.value.cols(), sum);
                         cpu::finish_gradient(b_, b_stack_, i, i, scale_, sum);
                       });
  }

  void write(vector_view<C> loss) const { cpu::write_loss(reduction_, row_losses_, loss); }

 private:
  [[nodiscard]] cpu::contrast<T> a_against_b() const {
    return {.rows = a_stack_,
            .columns = b_stack_,
            .positives = b_stack_,
            .pairs = {.shift = 0, .partners = reduction_.rows},
            .positives_are_columns = true,
            .cols = a_.value.cols(),
            .scale = scale_};
  }

  cpu_context& ctx_;
  workspace::scope scratch_;
  operand<T> a_;
  operand<T> b_;
  sigmoid_options<T> options_;
  double scale_ = 1;
  double bias_ = 0;
  row_reduction<C> reduction_;
  cpu::row_stack<T> a_stack_;
  cpu::row_stack<T> b_stack_;
  double* weights_ = nullptr;  // what row i's loss weighs in the gradients
  double* pulls_ = nullptr;    // 1 − the probability that a pair that belongs together does
  double* row_losses_ = nullptr;
  double* scale_terms_ = nullptr;
  double* bias_terms_ = nullptr;
};

}  // namespace detail

/// The sigmoid loss (Zhai et al., SigLIP, arXiv 2303.15343), with s = scale · cos(a, b) + bias:
///     loss_i = −log σ(s_ii) − Σ_{j≠i} log σ(−s_ij).
///
/// a and b N × D, loss 1 element or N (reduce::none). The gradient by s_ij is σ(s_ij), by s_ii
/// −σ(−s_ii). Never holds an N × N matrix. NaN or ∞ in a row makes NaN of every row loss that reads
/// it.
template <class A, class B, class T = std::remove_const_t<A>>
requires element<T> && std::same_as<T, std::remove_const_t<B>>
void sigmoid(cpu_context& ctx, const matrix_view<A>& a, const matrix_view<B>& b,
             std::type_identity_t<vector_view<compute_t<T>>> loss,
             const std::type_identity_t<sigmoid_options<T>>& options = {}) {
  detail::sigmoid_call<T> call(ctx, "sigmoid", stop_gradient(a), stop_gradient(b), options);
  check::loss_outputs("sigmoid", loss, call.outputs(), {}, 0);
  call.prepare();
  call.run_rows(true, false);
  call.write(loss);
}

/// The same loss as a number, for mean and sum.
template <class A, class B, class T = std::remove_const_t<A>>
requires element<T> && std::same_as<T, std::remove_const_t<B>> compute_t<T> sigmoid(
    cpu_context& ctx, const matrix_view<A>& a, const matrix_view<B>& b,
    const std::type_identity_t<sigmoid_options<T>>& options = {}) {
  check::one_number("sigmoid", options.reduction);
  compute_t<T> loss{};
  sigmoid(ctx, a, b, scalar(loss), options);
  return loss;
}

/// The gradients for a `cotangent` of one element or N (reduce::none). Needs no statistics: a
/// pair's gradient is a matter of its own logit, which is computed again.
template <element T>
void sigmoid_backward(cpu_context& ctx, const operand<T>& a, const operand<T>& b,
                      std::type_identity_t<vector_view<const compute_t<T>>> cotangent,
                      const std::type_identity_t<sigmoid_options<T>>& options = {}) {
  detail::sigmoid_call<T> call(ctx, "sigmoid_backward", a, b, options, cotangent);
  check::has_cotangent("sigmoid_backward", cotangent);
  call.prepare();
  call.run_rows(false, true);
  call.run_columns();
}

/// Loss and gradients in one go, for a cotangent of options.gradient_scale. With b stopped one pass
/// over the logits gives both. The gradient by a row with norm ≤ 1e-12 is zero.
template <element T>
void sigmoid_with_gradients(cpu_context& ctx, const operand<T>& a, const operand<T>& b,
                            std::type_identity_t<vector_view<compute_t<T>>> loss,
                            const std::type_identity_t<sigmoid_options<T>>& options = {}) {
  detail::sigmoid_call<T> call(ctx, "sigmoid_with_gradients", a, b, options);
  check::loss_outputs("sigmoid_with_gradients", loss, call.outputs(), {}, 0);
  call.prepare();
  call.run_rows(true, true);
  call.run_columns();
  call.write(loss);
}

/// The same, with the loss as a number, for mean and sum.
template <element T>
compute_t<T> sigmoid_with_gradients(cpu_context& ctx, const operand<T>& a, const operand<T>& b,
                                    const std::type_identity_t<sigmoid_options<T>>& options = {}) {
  check::one_number("sigmoid_with_gradients", options.reduction);
  compute_t<T> loss{};
  sigmoid_with_gradients(ctx, a, b, scalar(loss), options);
  return loss;
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
