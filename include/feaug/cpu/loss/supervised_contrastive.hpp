// CPU implementation of supervised_contrastive: a row's positives are all other rows with its
// label.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <string_view>

#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/loss/contrast.hpp"
#include "feaug/cpu/loss/row_loss.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/row_reduction.hpp"
#include "feaug/loss/softmax_weights.hpp"
#include "feaug/loss/supervised_contrastive.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cpu {

/// One call of the loss; the constructor checks the arguments. Holds the state that its passes
/// share.
template <element T>
class supervised_contrastive_call {
 public:
  using C = compute_t<T>;

  supervised_contrastive_call(cpu_context& ctx, std::string_view op, const operand<T>& z,
                              const vector_view<const index_t>& labels,
                              const supervised_contrastive_options<T>& options,
                              const feaug::detail::loss_vectors<C>& vectors)
      : ctx_(ctx), scratch_(ctx.workspace), z_(z), labels_(labels), options_(options) {
    reduction_ = feaug::detail::supervised_contrastive_arguments(op, z, labels, options, vectors);
    temperature_ = number_of(options.temperature, options.learnable_temperature);
  }

  [[nodiscard]] index_t outputs() const { return reduction_.outputs(); }
  [[nodiscard]] index_t statistics_size() const { return reduction_.rows; }

  void forward(vector_view<C> loss, vector_view<C> statistics) {
    prepare();
    softmax(false);
    write(loss, statistics);
  }
  void forward_and_backward(vector_view<C> loss) {
    prepare();
    softmax(by_temperature());
    write_temperature_gradient();
    row_gradient();
    write(loss, {});
  }
  void backward(vector_view<const C> statistics) {
    prepare();
    restore(statistics);
    row_gradient();
    if (by_temperature()) softmax(true);
    write_temperature_gradient();
  }

 private:
  [[nodiscard]] bool by_temperature() const {
    return options_.learnable_temperature.wants_gradient();
  }
  [[nodiscard]] bool has_positive(index_t i) const { return positive_share_[i] > 0; }

  /// Computes norms and the rows with positives, and allocates the per-row scratch.
  void prepare() {
    const index_t rows = reduction_.rows;
    stack_ = concatenate_rows<T>(ctx_, scratch_, options_.normalize, z_.value);
    label_ = scratch_.template take<index_t>(rows);
    positive_share_ = scratch_.template take<double>(rows);
    coefficients_ = scratch_.template take<double>(rows);
    log_sum_exps_ = scratch_.template take<double>(rows);
    row_losses_ = scratch_.template take<double>(rows);
    scale_terms_ = scratch_.template take_filled<double>(rows, 0.0);
    for (index_t i = 0; i < rows; ++i) label_[i] = labels_[i];
    count_positives();
    reduction_.counted = &with_positives_;
    for (index_t i = 0; i < rows; ++i)
      coefficients_[i] = has_positive(i) ? reduction_.gradient_weight(i) : 0.0;
  }

  void restore(vector_view<const C> statistics) {
    for (index_t i = 0; i < reduction_.rows; ++i)
      log_sum_exps_[i] = static_cast<double>(statistics[i]);
  }

  /// Every row is both a row and a column, so both softmaxes contribute to its gradient.
  void row_gradient() {
    if (!z_.wants_gradient()) return;
    const softmax_weights weights = {.coefficient = coefficients_, .log_sum_exp = log_sum_exps_};
    gradient_pass<C>(ctx_, rows_against_all(), weights, weights, [&](index_t i, C* sum) {
      normalize_backward_and_store(z_, stack_, i, i, 1.0 / temperature_, sum);
    });
  }

  void write(vector_view<C> loss, vector_view<C> statistics) const {
    write_loss(reduction_, row_losses_, loss);
    for (index_t i = 0; !statistics.empty() && i < reduction_.rows; ++i)
      statistics[i] = static_cast<C>(log_sum_exps_[i]);
  }

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

  void softmax(bool with_mean_cosine) {
    softmax_pass<C>(ctx_, rows_against_all(), false, with_mean_cosine,
                    [&](index_t i, const row_statistics& row, C*) {
                      log_sum_exps_[i] = row.log_sum_exp;
                      row_losses_[i] = has_positive(i) ? row.log_sum_exp - row.positive_logit : 0.0;
                      if (has_positive(i)) {
                        scale_terms_[i] = feaug::detail::by_inverse_temperature(
                            coefficients_[i], row.mean_cosine, row.positive_cosine);
                      }
                    });
  }

  [[nodiscard]] contrast_problem<C> rows_against_all() const {
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
    if (!by_temperature()) return;
    write_scalar_gradient(
        options_.learnable_temperature,
        feaug::detail::by_temperature(sum_in_order(scale_terms_, reduction_.rows), temperature_));
  }

  cpu_context& ctx_;
  workspace::scope scratch_;
  operand<T> z_;
  vector_view<const index_t> labels_;
  supervised_contrastive_options<T> options_;
  double temperature_ = 1;
  feaug::detail::row_reduction<C> reduction_;
  concatenated_rows<T> stack_;
  index_t with_positives_ = 0;
  index_t* label_ = nullptr;
  double* positive_share_ = nullptr;
  double* coefficients_ = nullptr;
  double* log_sum_exps_ = nullptr;
  double* row_losses_ = nullptr;
  double* scale_terms_ = nullptr;
};

}  // namespace cpu

template <element T>
struct detail::supervised_contrastive_call<cpu_context, T> : cpu::supervised_contrastive_call<T> {
  using cpu::supervised_contrastive_call<T>::supervised_contrastive_call;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
