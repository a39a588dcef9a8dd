// CPU implementation of sigmoid: the SigLIP loss, a binary classification of every pair of rows.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <string_view>

#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/parallel.hpp"
#include "feaug/cpu/loss/concatenated_rows.hpp"
#include "feaug/cpu/loss/contrast.hpp"
#include "feaug/cpu/loss/contrast_problem.hpp"
#include "feaug/cpu/loss/logistic.hpp"
#include "feaug/cpu/loss/row_loss.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/row_reduction.hpp"
#include "feaug/loss/sigmoid.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cpu {

/// One call of the loss; the constructor checks the arguments. Holds the state that its passes
/// share.
template <element T>
class sigmoid_call {
 public:
  using C = compute_t<T>;

  sigmoid_call(cpu_context& ctx, std::string_view op, const operand<T>& a, const operand<T>& b,
               const sigmoid_options<T>& options, const feaug::detail::loss_vectors<C>& vectors)
      : ctx_(ctx), scratch_(ctx.workspace), a_(a), b_(b), options_(options) {
    reduction_ = feaug::detail::sigmoid_arguments(op, a, b, options, vectors);
    scale_ = number_of(options.scale, options.learnable_scale);
    bias_ = number_of(options.bias, options.learnable_bias);
  }

  [[nodiscard]] index_t outputs() const { return reduction_.outputs(); }

  void stop_gradients() {
    options_.learnable_scale.mode = gradient_mode::none;
    options_.learnable_bias.mode = gradient_mode::none;
  }

  /// Writes the loss, unless `loss` is empty, and the gradients that are wanted.
  void run(vector_view<C> loss) {
    if (loss.empty() && !a_.wants_gradient() && !b_.wants_gradient() && !by_numbers()) return;
    prepare();
    run_pairs(!loss.empty());
    if (by_numbers()) {
      write_scalar_gradient(options_.learnable_scale, sum_in_order(scale_terms_, reduction_.rows));
      write_scalar_gradient(options_.learnable_bias, sum_in_order(bias_terms_, reduction_.rows));
    }
    if (!loss.empty()) write_loss(reduction_, row_losses_, loss);
  }

 private:
  [[nodiscard]] bool by_numbers() const {
    return options_.learnable_scale.wants_gradient() || options_.learnable_bias.wants_gradient();
  }

  /// Computes norms, and the positives' part of losses and gradients.
  void prepare() {
    const index_t rows = reduction_.rows;
    a_rows_ = concatenate_rows<T>(ctx_, scratch_, options_.normalize, a_.value);
    b_rows_ = concatenate_rows<T>(ctx_, scratch_, options_.normalize, b_.value);
    weights_ = scratch_.template take<double>(rows);
    positive_gradients_ = scratch_.template take<double>(rows);
    row_losses_ = scratch_.template take<double>(rows);
    scale_terms_ = scratch_.template take<double>(rows);
    bias_terms_ = scratch_.template take<double>(rows);
    for_each_row_block(ctx_, rows, a_.value.cols(), [&](index_t begin, index_t count, int) {
      for (index_t i = begin; i < begin + count; ++i) {
        const double cosine = dot(a_rows_, i, b_rows_, i, a_.value.cols());
        const feaug::detail::matching_pair pair(cosine, scale_, bias_);
        weights_[i] = reduction_.gradient_weight(i);
        positive_gradients_[i] = pair.positive_gradient;
        row_losses_[i] = pair.loss;
        scale_terms_[i] = pair.by_scale(weights_[i], cosine);
        bias_terms_[i] = pair.by_bias(weights_[i]);
      }
    });
  }

  /// Losses and gradients from one product of logits. If the sums of b's rows take too much memory,
  /// they are computed afterwards, as many at a time as fit.
  void run_pairs(bool losses) {
    const index_t rows = reduction_.rows;
    const bool sums = losses || by_numbers();
    const bool by_a = a_.wants_gradient();
    const bool by_b = b_.wants_gradient();
    const index_t at_once = most_logistic_columns<C>(a_.value.cols());
    const bool together = rows <= at_once;
    if (sums || by_a || (by_b && together)) {
      run_pass(
          {.first = 0, .last = rows, .losses = sums, .rows = by_a, .columns = by_b && together});
    }
    for (index_t first = 0; by_b && !together && first < rows; first += at_once) {
      run_pass({.first = first,
                .last = std::min(rows, first + at_once),
                .losses = false,
                .rows = false,
                .columns = true});
    }
  }

  void run_pass(const logistic_range& range) {
    const contrast_problem<C> pairs = {.rows = a_rows_,
                                       .columns = b_rows_,
                                       .positives = b_rows_,
                                       .pairs = {.shift = 0, .partners = reduction_.rows},
                                       .positives_are_columns = true,
                                       .cols = a_.value.cols(),
                                       .scale = scale_};
    logistic_pass<C>(
        ctx_, pairs, bias_, weights_, range,
        [&](index_t i, const logistic_sums& row, C* sum) {
          row_losses_[i] += row.loss;
          scale_terms_[i] += weights_[i] * row.weighted_cosine;
          bias_terms_[i] += weights_[i] * row.weight;
          if (range.rows) finish_side(a_, a_rows_, b_rows_, i, sum);
        },
        [&](index_t i, C* sum) { finish_side(b_, b_rows_, a_rows_, i, sum); });
  }

  /// The gradient with respect to row i of one side, from the weighted sum of the other's rows.
  void finish_side(const operand<T>& of, const concatenated_rows<T>& own,
                   const concatenated_rows<T>& others, index_t i, C* sum) {
    others.add_row(i, -weights_[i] * positive_gradients_[i], a_.value.cols(), sum);
    normalize_backward_and_store(of, own, i, i, scale_, sum);
  }

  cpu_context& ctx_;
  workspace::scope scratch_;
  operand<T> a_;
  operand<T> b_;
  sigmoid_options<T> options_;
  double scale_ = 1;
  double bias_ = 0;
  feaug::detail::row_reduction<C> reduction_;
  concatenated_rows<T> a_rows_;
  concatenated_rows<T> b_rows_;
  double* weights_ = nullptr;             // row i's gradient factor
  double* positive_gradients_ = nullptr;  // positive_gradient strengths of the positives
  double* row_losses_ = nullptr;
  double* scale_terms_ = nullptr;
  double* bias_terms_ = nullptr;
};

}  // namespace cpu

template <element T>
struct detail::sigmoid_call<cpu_context, T> : cpu::sigmoid_call<T> {
  using cpu::sigmoid_call<T>::sigmoid_call;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
