// The supervised contrastive loss: every row is to find all others of its label.
#pragma once

#include <algorithm>
#include <string_view>
#include <type_traits>

#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/reduce.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/loss/contrast.hpp"
#include "feaug/cpu/loss/row_loss.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/supervised_contrastive.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace detail {

/// A validated call: everything the passes need.
template <element T>
class supervised_contrastive_call {
 public:
  using C = compute_t<T>;

  supervised_contrastive_call(cpu_context& ctx, std::string_view op, const operand<T>& z,
                              const vector_view<const index_t>& labels,
                              const supervised_contrastive_options<T>& options,
                              vector_view<const C> cotangent = {})
      : ctx_(ctx), scratch_(ctx.workspace), z_(z), labels_(labels), options_(options) {
    reduction_ = supervised_contrastive_arguments(op, z, labels, options, cotangent);
    temperature_ = cpu::number_of(options.temperature, options.learnable_temperature);
  }

  [[nodiscard]] index_t outputs() const { return reduction_.outputs(); }

  /// Norms, who has positives, and scratch for what every row leaves. After all checks.
  void prepare() {
    const index_t rows = reduction_.rows;
    stack_ = cpu::make_stack<T>(ctx_, scratch_, options_.normalize, z_.value);
    label_ = scratch_.template take<index_t>(rows);
    positive_share_ = scratch_.template take<double>(rows);
    coefficients_ = scratch_.template take<double>(rows);
    log_sums_ = scratch_.template take<double>(rows);
    row_losses_ = scratch_.template take<double>(rows);
    scale_terms_ = scratch_.template take_filled<double>(rows, 0.0);
    for (index_t i = 0; i < rows; ++i) label_[i] = labels_[i];
    count_positives();
    reduction_.counted = &with_positives_;
    for (index_t i = 0; i < rows; ++i)
      coefficients_[i] = has_positive(i) ? reduction_.gradient_weight(i) : 0.0;
  }

  void forward(bool gradients) {
    const bool by_temperature = gradients && options_.learnable_temperature.wants_gradient();
    soft_max(by_temperature);
    if (by_temperature) write_temperature_gradient();
  }

  void restore(vector_view<const C> statistics) {
    for (index_t i = 0; i < reduction_.rows; ++i) log_sums_[i] = static_cast<double>(statistics[i]);
  }

  /// Every row is a row and a column, so that both soft-maxes meet in its gradient.
  void row_gradient() {
    if (!z_.wants_gradient()) return;
    const cpu::soft_max_weights weights = {.coefficient = coefficients_, .log_sum = log_sums_};
    cpu::gradient_pass(ctx_, rows_against_all(), weights, weights, [&](index_t i, C* sum) {
      cpu::finish_gradient(z_, stack_, i, i, 1.0 / temperature_, sum);
    });
  }

  void temperature_gradient() {
    if (!options_.learnable_temperature.wants_gradient()) return;
    soft_max(true);
    write_temperature_gradient();
  }

  void write(vector_view<C> loss, vector_view<C> statistics) const {
    cpu::write_loss(reduction_, row_losses_, loss);
    for (index_t i = 0; !statistics.empty() && i < reduction_.rows; ++i)
      statistics[i] = static_cast<C>(log_sums_[i]);
  }

 private:
  [[nodiscard]] bool has_positive(index_t i) const { return positive_share_[i] > 0; }

  void count_positives() {
    const index_t rows = reduction_.rows;
    workspace::scope scratch(ctx_.workspace);
    auto* const sorted = scratch.take<index_t>(rows);
    std::copy_n(label_, rows, sorted);
    std::sort(sorted, sorted + rows);
    for (index_t i = 0; i < rows; ++i) {
      const auto [first, last] = std::equal_range(sorted, sorted + rows, label_[i]);
      const index_t positives = last - first - 1;
      positive_share_[i] = positives == 0 ? 0.0 : 1.0 / static_cast<double>(positives);
      if (positives != 0) ++with_positives_;
    }
  }

  void soft_max(bool by_temperature) {
    cpu::soft_max_pass(ctx_, rows_against_all(), false, by_temperature,
                       [&](index_t i, const cpu::row_statistics& row, C*) {
                         log_sums_[i] = row.log_sum;
                         row_losses_[i] = has_positive(i) ? row.log_sum - row.positive_logit : 0.0;
                         if (has_positive(i)) {
                           scale_terms_[i] =
                               coefficients_[i] * (row.mean_cosine - row.positive_cosine);
                         }
                       });
  }

  [[nodiscard]] cpu::contrast<T> rows_against_all() const {
    return {.rows = stack_,
            .columns = stack_,
            .positives = stack_,
            .pairs = {.self = true},
            .positives_are_columns = false,
            .cols = z_.value.cols(),
            .scale = 1.0 / temperature_,
            .labels = {.label = label_, .positive_share = positive_share_}};
  }

  void write_temperature_gradient() {
    // s = cos/τ, so ∂L/∂τ = −1/τ² Σ ∂L/∂s · cos.
    cpu::write_scalar_gradient(
        options_.learnable_temperature,
        -cpu::sum_in_order(scale_terms_, reduction_.rows) / (temperature_ * temperature_));
  }

  cpu_context& ctx_;
  workspace::scope scratch_;
  operand<T> z_;
  vector_view<const index_t> labels_;
  supervised_contrastive_options<T> options_;
  double temperature_ = 1;
  row_reduction<C> reduction_;
  cpu::row_stack<T> stack_;
  index_t with_positives_ = 0;
  index_t* label_ = nullptr;
  double* positive_share_ = nullptr;
  double* coefficients_ = nullptr;
  double* log_sums_ = nullptr;
  double* row_losses_ = nullptr;
  double* scale_terms_ = nullptr;
};

}  // namespace detail

/// The supervised contrastive loss (Khosla et al., arXiv 2004.11362, L_out), with s = cos(z, z) /
/// temperature and P(i) the other rows of row i's label:
///     loss_i = −1/|P(i)| Σ_{p∈P(i)} s_ip + log Σ_{j≠i} exp s_ij.
///
/// z N × D, labels N, any numbers, loss 1 element or N (reduce::none). A row without positives has
/// loss 0 and is left out of the mean; where no row has one, loss and gradient are 0. `statistics`,
/// if given, gets N numbers for supervised_contrastive_backward. Never holds an N × N matrix. NaN
/// or ∞ in a row makes NaN of the loss of every row that has a positive, since all read it.
template <class Z, class T = std::remove_const_t<Z>>
requires element<T>
void supervised_contrastive(
    cpu_context& ctx, const matrix_view<Z>& z,
    const std::type_identity_t<vector_view<const index_t>>& labels,
    std::type_identity_t<vector_view<compute_t<T>>> loss,
    const std::type_identity_t<supervised_contrastive_options<T>>& options = {},
    std::type_identity_t<vector_view<compute_t<T>>> statistics = {}) {
  detail::supervised_contrastive_call<T> call(ctx, "supervised_contrastive", stop_gradient(z),
                                              labels, options);
  check::loss_outputs("supervised_contrastive", loss, call.outputs(), statistics, z.rows());
  call.prepare();
  call.forward(false);
  call.write(loss, statistics);
}

/// The same loss as a number, for mean and sum.
template <class Z, class T = std::remove_const_t<Z>>
requires element<T> compute_t<T> supervised_contrastive(
    cpu_context& ctx, const matrix_view<Z>& z,
    const std::type_identity_t<vector_view<const index_t>>& labels,
    const std::type_identity_t<supervised_contrastive_options<T>>& options = {}) {
  check::one_number("supervised_contrastive", options.reduction);
  compute_t<T> loss{};
  supervised_contrastive(ctx, z, labels, scalar(loss), options);
  return loss;
}

/// The gradients from what supervised_contrastive left in `statistics` (N), for a `cotangent` of
/// one element or N (reduce::none). Logits are computed again.
template <element T>
void supervised_contrastive_backward(
    cpu_context& ctx, const operand<T>& z,
    const std::type_identity_t<vector_view<const index_t>>& labels,
    std::type_identity_t<vector_view<const compute_t<T>>> statistics,
    std::type_identity_t<vector_view<const compute_t<T>>> cotangent,
    const std::type_identity_t<supervised_contrastive_options<T>>& options = {}) {
  detail::supervised_contrastive_call<T> call(ctx, "supervised_contrastive_backward", z, labels,
                                              options, cotangent);
  check::backward_inputs("supervised_contrastive_backward", statistics, z.value.rows(), cotangent);
  call.prepare();
  call.restore(statistics);
  call.row_gradient();
  call.temperature_gradient();
}

/// Loss and gradients in one go, for a cotangent of options.gradient_scale. The gradient by a row
/// with norm ≤ 1e-12 is zero.
template <element T>
void supervised_contrastive_with_gradients(
    cpu_context& ctx, const operand<T>& z,
    const std::type_identity_t<vector_view<const index_t>>& labels,
    std::type_identity_t<vector_view<compute_t<T>>> loss,
    const std::type_identity_t<supervised_contrastive_options<T>>& options = {}) {
  detail::supervised_contrastive_call<T> call(ctx, "supervised_contrastive_with_gradients", z,
                                              labels, options);
  check::loss_outputs("supervised_contrastive_with_gradients", loss, call.outputs(), {},
                      z.value.rows());
  call.prepare();
  call.forward(true);
  call.row_gradient();
  call.write(loss, {});
}

/// The same, with the loss as a number, for mean and sum.
template <element T>
compute_t<T> supervised_contrastive_with_gradients(
    cpu_context& ctx, const operand<T>& z,
    const std::type_identity_t<vector_view<const index_t>>& labels,
    const std::type_identity_t<supervised_contrastive_options<T>>& options = {}) {
  check::one_number("supervised_contrastive_with_gradients", options.reduction);
  compute_t<T> loss{};
  supervised_contrastive_with_gradients(ctx, z, labels, scalar(loss), options);
  return loss;
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
