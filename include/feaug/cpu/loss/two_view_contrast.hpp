// CPU implementation of symmetric_info_nce and nt_xent: two views of N rows, and a softmax per row
// of each view.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <concepts>
#include <string_view>

#include "feaug/core/elementary.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/finite.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/lanes.hpp"
#include "feaug/cpu/core/parallel.hpp"
#include "feaug/cpu/loss/contrast.hpp"
#include "feaug/cpu/loss/fixed_max_softmax.hpp"
#include "feaug/cpu/loss/kept_tiles.hpp"
#include "feaug/cpu/loss/row_loss.hpp"
#include "feaug/cpu/loss/symmetric_tiles.hpp"
#include "feaug/loss/two_view_contrast.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cpu {

/// One call of the loss; the constructor checks the arguments. View (side) s has rows 0 … N − 1;
/// its numbers start at s·N in every array of 2N.
template <element T>
class two_view_call {
 public:
  using C = compute_t<T>;

  two_view_call(cpu_context& ctx, std::string_view op,
                const feaug::detail::two_view_problem<T>& problem)
      : ctx_(ctx), scratch_(ctx.workspace), problem_(problem) {
    problem_.validate(op);
    rows_ = problem.rows();
    cols_ = problem.cols();
    problem_.temperature = number_of(problem.temperature, problem.learnable_temperature);
  }

  [[nodiscard]] index_t outputs() const { return problem_.reduction.outputs(); }
  [[nodiscard]] index_t statistics_size() const { return 2 * rows_; }

  void forward(vector_view<C> loss, vector_view<C> statistics) {
    prepare(false);
    row_losses(false);
    write(loss, statistics);
  }
  void forward_and_backward(vector_view<C> loss) {
    prepare(true);
    row_losses(true);
    view_gradients();
    write(loss, {});
  }
  void backward(vector_view<const C> statistics) {
    prepare(true);
    restore(statistics);
    temperature_gradient();
    if (kept_.has_exponentials() && !problem_.learnable_temperature.wants_gradient())
      paired_sums<C>(ctx_, all_pairs(), false, kept_);
    view_gradients();
  }

 private:
  void prepare(bool for_gradients) {
    both_ = concatenate_rows<T>(ctx_, scratch_, problem_.normalize, problem_.views[0].value,
                                problem_.views[1].value);
    coefficients_ = scratch_.template take<double>(2 * rows_);
    log_sum_exps_ = scratch_.template take<double>(2 * rows_);
    row_losses_ = scratch_.template take<double>(2 * rows_);
    scale_terms_ = scratch_.template take_filled<double>(2 * rows_, 0.0);
    if (!feaug::detail::is_equal(problem_.positive_weighting, 0)) weigh_positives();
    const bool any = problem_.views[0].wants_gradient() || problem_.views[1].wants_gradient();
    if (has_fixed_max()) kept_ = kept_tiles<C>(ctx_, scratch_, all_pairs(), for_gradients && any);
  }

  void row_losses(bool gradients) {
    const bool by_temperature = gradients && problem_.learnable_temperature.wants_gradient();
    softmaxes(by_temperature, [&](int side, index_t i, const row_statistics& row) {
      const index_t at = side * rows_ + i;
      const feaug::detail::margin_terms terms =
          terms_of(side, i, row.log_sum_exp, row.positive_cosine);
      log_sum_exps_[at] = row.log_sum_exp;
      row_losses_[at] = terms.loss;
      coefficients_[at] = terms.coefficient;
      scale_terms_[at] = feaug::detail::by_inverse_temperature(coefficients_[at], row.mean_cosine,
                                                               weighed(at, row.positive_cosine));
    });
    if (by_temperature) write_temperature_gradient();
  }

  void restore(vector_view<const C> statistics) {
    for (int side = 0; side < 2; ++side) {
      for_each_row_block(ctx_, rows_, cols_, [&](index_t begin, index_t count, int) {
        for (index_t i = begin; i < begin + count; ++i) {
          const index_t at = side * rows_ + i;
          log_sum_exps_[at] = static_cast<double>(statistics[at]);
          const double cosine = dot(both_, i, both_, rows_ + i, cols_);
          coefficients_[at] = terms_of(side, i, log_sum_exps_[at], cosine).coefficient;
        }
      });
    }
  }

  void view_gradients() {
    const bool by_first = problem_.views[0].wants_gradient();
    const bool by_second = problem_.views[1].wants_gradient();
    if (kept_.has_exponentials()) {
      workspace::scope scratch(ctx_.workspace);
      kept_gradients<C>(ctx_, all_pairs(), kept_, pair_weights(scratch), by_first ? 0 : rows_,
                        by_second ? 2 * rows_ : rows_,
                        [&](index_t at, C* sum) { write_row_gradient(at, sum); });
      return;
    }
    if (has_fixed_max() && by_first && by_second && both_gradients()) return;
    for (int side = 0; side < 2; ++side) {
      const operand<T>& view = problem_.views[side];
      if (!view.wants_gradient()) continue;
      const concatenated_rows<T> rows = view_rows(side);
      const index_t rows_at = side * rows_;
      const index_t columns_at = problem_.over_both() ? 0 : (1 - side) * rows_;
      gradient_pass<C>(ctx_, contrast_of(side), weights_from(rows_at), weights_from(columns_at),
                       [&](index_t i, C* sum) {
                         normalize_backward_and_store(view, rows, i, i, 1.0 / problem_.temperature,
                                                      sum);
                       });
    }
  }

  void temperature_gradient() {
    if (!problem_.learnable_temperature.wants_gradient()) return;
    softmaxes(true, [&](int side, index_t i, const row_statistics& row) {
      const index_t at = side * rows_ + i;
      // Uses the statistics given to restore, not those of this pass.
      scale_terms_[at] = feaug::detail::by_inverse_temperature(coefficients_[at], row.mean_cosine,
                                                               weighed(at, row.positive_cosine));
    });
    write_temperature_gradient();
  }

  void write(vector_view<C> loss, vector_view<C> statistics) {
    if (!problem_.over_both()) {
      for (index_t i = 0; i < rows_; ++i)
        row_losses_[i] = 0.5 * (row_losses_[i] + row_losses_[rows_ + i]);
    }
    write_loss(problem_.reduction, row_losses_, loss);
    for (index_t i = 0; !statistics.empty() && i < 2 * rows_; ++i)
      statistics[i] = static_cast<C>(log_sum_exps_[i]);
  }

  /// Calls finish(side, i, row_statistics) for every row of both sides.
  template <class Finish>
  void softmaxes(bool with_mean_cosine, const Finish& finish) {
    if (has_fixed_max()) {
      paired_softmaxes(with_mean_cosine, finish);
      return;
    }
    for (int side = 0; side < 2; ++side) {
      softmax_pass<C>(ctx_, contrast_of(side), false, with_mean_cosine,
                      [&](index_t i, const row_statistics& row, C*) { finish(side, i, row); });
    }
  }

  [[nodiscard]] bool has_fixed_max() const {
    return problem_.normalize && can_fix_shift<C>(1.0 / problem_.temperature);
  }

  [[nodiscard]] paired_contrast<C> all_pairs() const {
    const bool is_one_side = problem_.over_both();
    return {.a = is_one_side ? both_ : view_rows(0),
            .b = is_one_side ? concatenated_rows<T>{} : view_rows(1),
            .is_one_side = is_one_side,
            .cols = cols_,
            .scale = 1.0 / problem_.temperature};
  }

  /// softmaxes with one product per pair of rows.
  template <class Finish>
  void paired_softmaxes(bool with_mean_cosine, const Finish& finish) {
    paired_sums<C>(ctx_, all_pairs(), with_mean_cosine, kept_);
    const auto shift = static_cast<double>(fixed_max<C>(1.0 / problem_.temperature));
    for_each_row_block(ctx_, rows_, cols_, [&](index_t begin, index_t count, int) {
      for (index_t i = begin; i < begin + count; ++i) {
        const double positive_cosine = dot(both_, i, both_, rows_ + i, cols_);
        for (int side = 0; side < 2; ++side) {
          const detail::exponential_sums sum =
              problem_.over_both() ? kept_.sum_of(0, side * rows_ + i) : kept_.sum_of(side, i);
          finish(side, i,
                 row_statistics{.log_sum_exp = detail::log_of_sum(sum.sum, shift),
                                .positive_cosine = positive_cosine,
                                .mean_cosine = feaug::detail::is_equal(sum.sum, 0)
                                                   ? 0.0
                                                   : sum.cosine_sum / sum.sum});
        }
      }
    });
  }

  /// Weights of the exponentials of paired_sums, in scratch memory.
  paired_weights<C> pair_weights(workspace::scope& scratch) {
    const index_t second = problem_.over_both() ? rows_ : padded_columns(rows_);
    C* const weights = scratch.template take_filled<C>(2 * padded_columns(rows_), C{0});
    const softmax_weights all = weights_from(0);
    const C shift = fixed_max<C>(1.0 / problem_.temperature);
    for_each_row_block(ctx_, 2 * rows_, cols_, [&](index_t begin, index_t count, int) {
      for (index_t at = begin; at < begin + count; ++at)
        weights[at < rows_ ? at : second + at - rows_] = weight_with_shift<C>(all, at, shift);
    });
    return {.of_a = weights, .of_b = problem_.over_both() ? weights : weights + second};
  }

  /// The gradients with respect to both views, with three products per pair of rows. They are
  /// accumulated in the destinations if these can hold sums, or else in scratch memory. Returns
  /// false, having done nothing, if that may not be so large.
  bool both_gradients() {
    const auto holds_sums = [](const operand<T>& view) {
      return std::same_as<T, C> && view.mode == gradient_mode::overwrite;
    };
    workspace::scope scratch(ctx_.workspace);
    C* sums = nullptr;
    if (!holds_sums(problem_.views[0]) || !holds_sums(problem_.views[1])) {
      if (!kept_.takes(2 * rows_ * cols_ * index_t{sizeof(C)})) return false;
      sums = scratch.template take<C>(2 * rows_ * cols_);
    }
    const auto row = [&](index_t at) -> C* {
      if constexpr (std::same_as<T, C>) {
        if (sums == nullptr) {
          return at < rows_ ? problem_.views[0].gradient.row(at)
                            : problem_.views[1].gradient.row(at - rows_);
        }
      }
      return sums + at * cols_;
    };
    for_each_row_block(ctx_, 2 * rows_, cols_, [&](index_t begin, index_t count, int) {
      for (index_t at = begin; at < begin + count; ++at) std::fill_n(row(at), cols_, C{0});
    });
    const index_t second = problem_.over_both() ? 0 : rows_;
    paired_gradients<C>(ctx_, all_pairs(), kept_, pair_weights(scratch), row,
                        [&](index_t at) { return row(second + at); });
    for_each_row_block(ctx_, 2 * rows_, cols_, [&](index_t begin, index_t count, int) {
      for (index_t at = begin; at < begin + count; ++at) write_row_gradient(at, row(at));
    });
    return true;
  }

  /// Adds the positive's part to row `at`'s sum over the other rows, and writes the gradient.
  void write_row_gradient(index_t at, C* sum) {
    const index_t positive = at < rows_ ? at + rows_ : at - rows_;
    const softmax_weights all = weights_from(0);
    both_.add_row(positive, -(all.positive_gradient(at) + all.positive_gradient(positive)), cols_,
                  sum);
    normalize_backward_and_store(problem_.views[at < rows_ ? 0 : 1], both_, at,
                                 at < rows_ ? at : at - rows_, 1.0 / problem_.temperature, sum);
  }

  /// One view's rows as a stack.
  [[nodiscard]] concatenated_rows<T> view_rows(int side) const {
    return both_.part(side * rows_, rows_);
  }

  [[nodiscard]] contrast_problem<C> contrast_of(int side) const {
    const concatenated_rows<T> columns = problem_.over_both() ? both_ : view_rows(1 - side);
    const index_t others_at = problem_.over_both() ? (1 - side) * rows_ : 0;
    return {.rows = view_rows(side),
            .columns = columns,
            .positives = columns,
            .pairs = {.shift = others_at,
                      .partners = columns.rows(),
                      .self = problem_.over_both(),
                      .self_shift = side * rows_},
            .positives_are_columns = true,
            .cols = cols_,
            .scale = 1.0 / problem_.temperature};
  }

  /// DCLW's weights, equal for both rows of a pair.
  void weigh_positives() {
    positive_weights_ = scratch_.template take<double>(2 * rows_);
    for_each_row_block(ctx_, rows_, cols_, [&](index_t begin, index_t count, int) {
      for (index_t i = begin; i < begin + count; ++i)
        positive_weights_[i] = dot(both_, i, both_, rows_ + i, cols_) / problem_.positive_weighting;
    });
    const double largest = largest_of(positive_weights_, rows_);
    double sum = 0;
    for (index_t i = 0; i < rows_; ++i)
      sum += positive_weights_[i] = feaug::detail::exp(positive_weights_[i] - largest);
    for (index_t i = 0; i < rows_; ++i) {
      positive_weights_[i] = feaug::detail::positive_weight(rows_, positive_weights_[i], sum);
      positive_weights_[rows_ + i] = positive_weights_[i];
    }
  }
  [[nodiscard]] double weighed(index_t at, double positive_cosine) const {
    return positive_weights_ == nullptr ? positive_cosine : positive_weights_[at] * positive_cosine;
  }
  /// `positive_cosine` is not yet multiplied by the positive's weight.
  [[nodiscard]] feaug::detail::margin_terms terms_of(int side, index_t i, double log_sum_exp,
                                                     double positive_cosine) const {
    const index_t at = side * rows_ + i;
    const double weight = problem_.over_both() ? problem_.reduction.gradient_weight(at)
                                               : 0.5 * problem_.reduction.gradient_weight(i);
    return {log_sum_exp, weighed(at, positive_cosine), problem_.temperature, weight,
            problem_.decoupled};
  }
  /// Gradient weights of the rows from `at` on.
  [[nodiscard]] softmax_weights weights_from(index_t at) const {
    return {.coefficient = coefficients_ + at,
            .log_sum_exp = log_sum_exps_ + at,
            .positive_weight = positive_weights_ == nullptr ? nullptr : positive_weights_ + at};
  }

  void write_temperature_gradient() {
    write_scalar_gradient(
        problem_.learnable_temperature,
        feaug::detail::by_temperature(sum_in_order(scale_terms_, 2 * rows_), problem_.temperature));
  }

  cpu_context& ctx_;
  workspace::scope scratch_;
  feaug::detail::two_view_problem<T> problem_;
  index_t rows_ = 0;
  index_t cols_ = 0;
  concatenated_rows<T> both_;  // view 0, then view 1
  kept_tiles<C> kept_;         // if has_fixed_max()
  double* coefficients_ = nullptr;
  double* positive_weights_ = nullptr;  // null: all 1
  double* log_sum_exps_ = nullptr;
  double* row_losses_ = nullptr;
  double* scale_terms_ = nullptr;
};

}  // namespace cpu

template <element T>
struct detail::two_view_call<cpu_context, T> : cpu::two_view_call<T> {
  using cpu::two_view_call<T>::two_view_call;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
