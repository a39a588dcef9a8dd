// What symmetric_info_nce and nt_xent share: two views of N rows, each side contrasted in its own
// soft-max.
#pragma once

#include <string_view>

#include "feaug/core/context.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/cpu/contrast.hpp"
#include "feaug/cpu/row_loss.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::detail {

/// Which columns a side's rows meet.
enum class two_view_columns {
  other_view,  ///< symmetric_info_nce: a's rows meet b's, b's meet a's; row i's loss is the mean of
               ///< its two
  both_views,  ///< nt_xent: every row meets all others of both views; 2N losses
};

template <element T>
struct two_view_problem {
  operand<T> views[2];
  const char* names[2];
  two_view_columns columns = two_view_columns::other_view;
  bool decoupled = false;  ///< the positive is not in the denominator
  bool normalize = true;
  double temperature = 1;
  operand<compute_t<T>, 1> learnable_temperature = {};
  cpu::row_reduction<compute_t<T>> reduction = {};  ///< its rows are set here
};

/// One call. Side s has rows 0 … N − 1; its numbers lie at s·N in every array of 2N.
template <element T>
class two_view_call {
 public:
  using C = compute_t<T>;

  two_view_call(cpu_context& ctx, std::string_view op, const two_view_problem<T>& problem)
      : ctx_(ctx), scratch_(ctx.workspace), problem_(problem) {
    const operand<T>& a = problem.views[0];
    const operand<T>& b = problem.views[1];
    check::valid(op, problem.names[0], a);
    check::valid(op, problem.names[1], b);
    check::not_empty(op, problem.names[0], a.value);
    rows_ = a.value.rows();
    cols_ = a.value.cols();
    check::has_shape(op, problem.names[1], b.value, rows_, cols_, problem.names[0]);
    check::apart(op, problem.names[0], a, problem.names[1], b);
    if (problem.decoupled && rows_ < 2) {
      check::fail(op, problem.names[0], "1 row",
                  "at least 2, since decoupled leaves a single pair no denominator");
    }
    problem_.temperature =
        cpu::temperature_of(op, problem.temperature, problem.learnable_temperature);
    problem_.reduction.rows = losses();
    problem_.reduction.validate(op);
    check::readable(op, "cotangent", problem.reduction.cotangent);
    if (!problem.reduction.cotangent.empty()) {
      check::has_size(op, "cotangent", problem.reduction.cotangent, outputs(),
                      "the elements of the loss");
    }
  }

  [[nodiscard]] index_t outputs() const { return problem_.reduction.outputs(); }
  [[nodiscard]] index_t statistics_size() const { return 2 * rows_; }

  void prepare() {
    both_ = cpu::make_stack<T>(ctx_, scratch_, problem_.normalize, problem_.views[0].value,
                               problem_.views[1].value);
    coefficients_ = scratch_.template take<double>(2 * rows_);
    log_sums_ = scratch_.template take<double>(2 * rows_);
    row_losses_ = scratch_.template take<double>(2 * rows_);
    scale_terms_ = scratch_.template take_filled<double>(2 * rows_, 0.0);
  }

  void forward(bool gradients) {
    const bool by_temperature = gradients && problem_.learnable_temperature.wants_gradient();
    for (int side = 0; side < 2; ++side) {
      cpu::soft_max_pass(
          ctx_, contrast_of(side), false, by_temperature,
          [&](index_t i, const cpu::row_statistics& row, C*) {
            const index_t at = side * rows_ + i;
            log_sums_[at] = row.log_sum;
            const double margin = row.log_sum - row.positive_cosine / problem_.temperature;
            row_losses_[at] = problem_.decoupled ? margin : cpu::softplus(margin);
            set_coefficient(side, i, margin);
            scale_terms_[at] = coefficients_[at] * (row.mean_cosine - row.positive_cosine);
          });
    }
    if (by_temperature) write_temperature_gradient();
  }

  void restore(vector_view<const C> statistics) {
    for (int side = 0; side < 2; ++side) {
      cpu::for_each_row_block(ctx_, rows_, cols_, [&](index_t begin, index_t count, int) {
        for (index_t i = begin; i < begin + count; ++i) {
          const index_t at = side * rows_ + i;
          log_sums_[at] = static_cast<double>(statistics[at]);
          const double cosine = cpu::dot(both_, i, both_, rows_ + i, cols_);
          set_coefficient(side, i, log_sums_[at] - cosine / problem_.temperature);
        }
      });
    }
  }

  void view_gradients() {
    for (int side = 0; side < 2; ++side) {
      const operand<T>& view = problem_.views[side];
      if (!view.wants_gradient()) continue;
      const cpu::contrast<T> problem = contrast_of(side);
      const index_t rows_at = side * rows_;
      const index_t columns_at = over_both() ? 0 : (1 - side) * rows_;
      cpu::gradient_pass(
          ctx_, problem, {.coefficient = coefficients_ + rows_at, .log_sum = log_sums_ + rows_at},
          {.coefficient = coefficients_ + columns_at, .log_sum = log_sums_ + columns_at},
          [&](index_t i, C* sum) {
            cpu::finish_gradient(view, problem.rows, i, i, 1.0 / problem_.temperature, sum);
          });
    }
  }

  void temperature_gradient() {
    if (!problem_.learnable_temperature.wants_gradient()) return;
    for (int side = 0; side < 2; ++side) {
      cpu::soft_max_pass(
          ctx_, contrast_of(side), false, true, [&](index_t i, const cpu::row_statistics& row, C*) {
            const index_t at = side * rows_ + i;
            scale_terms_[at] = coefficients_[at] * (row.mean_cosine - row.positive_cosine);
          });
    }
    write_temperature_gradient();
  }

  void write(vector_view<C> loss, vector_view<C> statistics) {
    if (!over_both()) {
      for (index_t i = 0; i < rows_; ++i)
        row_losses_[i] = 0.5 * (row_losses_[i] + row_losses_[rows_ + i]);
    }
    problem_.reduction.write(row_losses_, loss);
    for (index_t i = 0; !statistics.empty() && i < 2 * rows_; ++i)
      statistics[i] = static_cast<C>(log_sums_[i]);
  }

 private:
  [[nodiscard]] bool over_both() const { return problem_.columns == two_view_columns::both_views; }
  [[nodiscard]] index_t losses() const { return over_both() ? 2 * rows_ : rows_; }

  /// One view's rows as a stack.
  [[nodiscard]] cpu::row_stack<T> view_stack(int side) const {
    return {.first = problem_.views[side].value,
            .second = {},
            .inverse = both_.inverse == nullptr ? nullptr : both_.inverse + side * rows_};
  }

  [[nodiscard]] cpu::contrast<T> contrast_of(int side) const {
    const cpu::row_stack<T> columns = over_both() ? both_ : view_stack(1 - side);
    const index_t others_at = over_both() ? (1 - side) * rows_ : 0;
    return {.rows = view_stack(side),
            .columns = columns,
            .positives = columns,
            .pairs = {.shift = others_at,
                      .partners = columns.rows(),
                      .self = over_both(),
                      .self_shift = side * rows_},
            .positives_are_columns = true,
            .cols = cols_,
            .scale = 1.0 / problem_.temperature};
  }

  void set_coefficient(int side, index_t i, double margin) {
    const index_t at = side * rows_ + i;
    const double weight = over_both() ? problem_.reduction.gradient_weight(at)
                                      : 0.5 * problem_.reduction.gradient_weight(i);
    // Decoupled, the loss is the margin itself; its NaN reaches the gradient through the soft-max.
    coefficients_[at] = problem_.decoupled ? weight : weight * cpu::sigmoid(margin);
  }

  void write_temperature_gradient() {
    cpu::write_scalar_gradient(problem_.learnable_temperature,
                               -cpu::sum_in_order(scale_terms_, 2 * rows_) /
                                   (problem_.temperature * problem_.temperature));
  }

  cpu_context& ctx_;
  workspace::scope scratch_;
  two_view_problem<T> problem_;
  index_t rows_ = 0;
  index_t cols_ = 0;
  cpu::row_stack<T> both_;  // view 0, then view 1
  double* coefficients_ = nullptr;
  double* log_sums_ = nullptr;
  double* row_losses_ = nullptr;
  double* scale_terms_ = nullptr;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::detail
