// CPU implementation of info_nce: classifies each query's own key among all keys and negatives.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/core/error.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/reduce.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/loss/cached_softmax_pass.hpp"
#include "feaug/cpu/loss/contrast.hpp"
#include "feaug/cpu/loss/row_loss.hpp"
#include "feaug/loss/info_nce.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cpu {

/// One call of the loss; the constructor checks the arguments. Holds the state that its passes
/// share.
template <element T>
class info_nce_call {
 public:
  using C = compute_t<T>;

  info_nce_call(cpu_context& ctx, std::string_view op, const operand<T>& queries,
                const operand<T>& keys, const info_nce_options<T>& options,
                const feaug::detail::loss_vectors<C>& vectors)
      : ctx_(ctx), scratch_(ctx.workspace), queries_(queries), keys_(keys), options_(options) {
    reduction_ = feaug::detail::info_nce_arguments(op, queries, keys, options, vectors);
    temperature_ = number_of(options.temperature, options.learnable_temperature);
  }

  [[nodiscard]] index_t outputs() const { return reduction_.outputs(); }
  [[nodiscard]] index_t statistics_size() const { return reduction_.rows; }

  void forward(vector_view<C> loss, vector_view<C> statistics) {
    prepare();
    softmax(false);
    write(loss, statistics);
  }
  /// If keys and negatives are stopped, one pass over the logits gives loss and gradients. One pass
  /// is also enough with gradients for all columns, if there are ≥ 128 columns and
  /// the context permits the scratch memory of cached_softmax_pass.
  void forward_and_backward(vector_view<C> loss) {
    prepare();
    softmax_and_gradients();
    write(loss, {});
  }
  /// All gradients, from the statistics that forward wrote.
  void backward(vector_view<const C> statistics) {
    prepare();
    restore(statistics);
    query_gradient();
    key_gradients();
    temperature_gradient();
  }

  // The single steps, public for losses that add terms to the softmaxes.

  /// Computes norms and allocates the per-row scratch. Call it after all checks.
  void prepare() {
    const index_t rows = reduction_.rows;
    query_rows_ = concatenate_rows<T>(ctx_, scratch_, options_.normalize, queries_.value);
    key_rows_ = concatenate_rows<T>(ctx_, scratch_, options_.normalize, keys_.value,
                                    options_.negatives.value);
    positive_rows_ = key_rows_;
    positive_rows_.second = {};
    coefficients_ = scratch_.template take<double>(rows);
    log_sum_exps_ = scratch_.template take<double>(rows);
    row_losses_ = scratch_.template take<double>(rows);
    scale_terms_ = scratch_.template take_filled<double>(rows, 0.0);
  }

  /// The softmax of every query; with `gradients` the same pass also gives the gradients with
  /// respect to queries and temperature.
  void softmax(bool gradients) {
    forward_rows(0, reduction_.rows, gradients,
                 [](index_t, const row_statistics& row, C*) { return row; });
    if (gradients) write_temperature_gradient();
  }

  /// The same for `count` queries from row `begin` on. join(i, row, mean) returns query i's
  /// statistics with the additional terms, and adds these terms to the mean, if there is one.
  template <class Join>
  void forward_rows(index_t begin, index_t count, bool gradients, const Join& join) {
    contrast_problem<C> problem = queries_against_keys();
    problem.rows = query_rows_.part(begin, count);
    problem.pairs.shift += begin;
    softmax_pass<C>(ctx_, problem, gradients && queries_.wants_gradient(),
                    gradients && options_.learnable_temperature.wants_gradient(),
                    [&](index_t at, const row_statistics& found, C* mean) {
                      const index_t i = begin + at;
                      finish_query(i, join(i, found, mean), mean);
                    });
  }

  /// The gradients with respect to keys and negatives: the same pass with the sides exchanged.
  void key_gradients() {
    if (keys_.wants_gradient()) {
      contrast_problem<C> problem = queries_against_keys().swapped();
      problem.pairs = {.shift = -options_.positive_offset, .partners = reduction_.rows};
      if (!options_.in_batch_negatives) {
        // Each key then occurs only in its own query's positive term, which is not part of the pass
        // over columns.
        problem.columns = {};
        problem.positives_are_columns = false;
      }
      side_gradient(problem, positive_rows_, keys_);
    }
    if (options_.negatives.wants_gradient()) {
      contrast_problem<C> problem = queries_against_keys().swapped();
      problem.pairs = {};
      side_gradient(problem, negative_rows(), options_.negatives);
    }
  }

  void write(vector_view<C> loss, vector_view<C> statistics) const {
    write_loss(reduction_, row_losses_, loss);
    for (index_t i = 0; !statistics.empty() && i < reduction_.rows; ++i)
      statistics[i] = static_cast<C>(log_sum_exps_[i]);
  }

  void write_temperature_gradient() {
    write_scalar_gradient(
        options_.learnable_temperature,
        feaug::detail::by_temperature(sum_in_order(scale_terms_, reduction_.rows), temperature_));
  }

  [[nodiscard]] double temperature() const { return temperature_; }
  [[nodiscard]] const concatenated_rows<T>& query_rows() const { return query_rows_; }
  [[nodiscard]] concatenated_rows<T> negative_rows() const {
    return key_rows_.part(keys_.value.rows(), options_.negatives.value.rows());
  }

 private:
  /// Loss and all gradients.
  void softmax_and_gradients() {
    const contrast_problem<C> problem = queries_against_keys();
    const bool by_all_columns =
        options_.in_batch_negatives && keys_.wants_gradient() &&
        (options_.negatives.value.rows() == 0 || options_.negatives.wants_gradient());
    if (!by_all_columns || !can_keep_logits(ctx_, problem)) {
      softmax(true);
      key_gradients();
      return;
    }
    const index_t keys = keys_.value.rows();
    cached_softmax_pass<C>(
        ctx_, problem, queries_.wants_gradient(), options_.learnable_temperature.wants_gradient(),
        {.coefficient = coefficients_, .log_sum_exp = log_sum_exps_},
        [&](index_t i, const row_statistics& row, C* mean) { finish_query(i, row, mean); },
        [&](index_t j, C* sum) {
          const index_t i = j - options_.positive_offset;
          if (i >= 0 && i < reduction_.rows)
            query_rows_.add_row(i, -coefficients_[i], queries_.value.cols(), sum);
          const bool is_key = j < keys;
          normalize_backward_and_store(is_key ? keys_ : options_.negatives, key_rows_, j,
                                       is_key ? j : j - keys, 1.0 / temperature_, sum);
        });
    write_temperature_gradient();
  }

  /// Restores log-sum-exps and coefficients from forward's statistics.
  void restore(vector_view<const C> statistics) {
    for_each_row_block(
        ctx_, reduction_.rows, queries_.value.cols(), [&](index_t begin, index_t count, int) {
          for (index_t i = begin; i < begin + count; ++i) {
            log_sum_exps_[i] = static_cast<double>(statistics[i]);
            const double cosine =
                dot(query_rows_, i, positive_rows_, positive(i), queries_.value.cols());
            coefficients_[i] = terms_of(i, log_sum_exps_[i], cosine).coefficient;
          }
        });
  }

  void query_gradient() {
    if (!queries_.wants_gradient()) return;
    gradient_pass<C>(
        ctx_, queries_against_keys(), {.coefficient = coefficients_, .log_sum_exp = log_sum_exps_},
        {}, [&](index_t i, C* sum) {
          normalize_backward_and_store(queries_, query_rows_, i, i, 1.0 / temperature_, sum);
        });
  }

  void temperature_gradient() {
    if (!options_.learnable_temperature.wants_gradient()) return;
    softmax_pass<C>(ctx_, queries_against_keys(), false, true,
                    [&](index_t i, const row_statistics& row, C*) {
                      scale_terms_[i] = feaug::detail::by_inverse_temperature(
                          coefficients_[i], row.mean_cosine, row.positive_cosine);
                    });
    write_temperature_gradient();
  }

  /// Stores the results of a query's softmax. `mean` is the mean of its columns if the query wants
  /// a gradient, otherwise null.
  void finish_query(index_t i, const row_statistics& row, C* mean) {
    log_sum_exps_[i] = row.log_sum_exp;
    const feaug::detail::margin_terms terms = terms_of(i, row.log_sum_exp, row.positive_cosine);
    row_losses_[i] = terms.loss;
    coefficients_[i] = terms.coefficient;
    // A row without negatives has no softmax, but its coefficient is then also 0.
    scale_terms_[i] = feaug::detail::by_inverse_temperature(coefficients_[i], row.mean_cosine,
                                                            row.positive_cosine);
    if (mean == nullptr) return;
    // Σ_j ∂L/∂s_ij k_j = c·(mean − positive): the softmax mean over the negatives minus the
    // positive.
    positive_rows_.add_row(positive(i), -1.0, queries_.value.cols(), mean);
    normalize_backward_and_store(queries_, query_rows_, i, i, coefficients_[i] / temperature_,
                                 mean);
  }

  [[nodiscard]] feaug::detail::margin_terms terms_of(index_t i, double log_sum_exp,
                                                     double positive_cosine) const {
    return {log_sum_exp, positive_cosine, temperature_, reduction_.gradient_weight(i)};
  }

  [[nodiscard]] index_t positive(index_t i) const { return i + options_.positive_offset; }

  [[nodiscard]] contrast_problem<C> queries_against_keys() const {
    return {.rows = query_rows_,
            .columns = options_.in_batch_negatives ? key_rows_ : negative_rows(),
            .positives = positive_rows_,
            .pairs = {.shift = options_.positive_offset, .partners = keys_.value.rows()},
            .positives_are_columns = options_.in_batch_negatives,
            .cols = queries_.value.cols(),
            .scale = 1.0 / temperature_};
  }

  void side_gradient(contrast_problem<C> problem, const concatenated_rows<T>& rows,
                     const operand<T>& side) {
    problem.rows = rows;
    gradient_pass<C>(ctx_, problem, {},
                     {.coefficient = coefficients_, .log_sum_exp = log_sum_exps_},
                     [&](index_t i, C* sum) {
                       normalize_backward_and_store(side, rows, i, i, 1.0 / temperature_, sum);
                     });
  }

  cpu_context& ctx_;
  workspace::scope scratch_;
  operand<T> queries_;
  operand<T> keys_;
  info_nce_options<T> options_;
  double temperature_ = 1;
  feaug::detail::row_reduction<C> reduction_;
  concatenated_rows<T> query_rows_;
  concatenated_rows<T> key_rows_;  // keys, then negatives
  concatenated_rows<T> positive_rows_;
  double* coefficients_ = nullptr;
  double* log_sum_exps_ = nullptr;
  double* row_losses_ = nullptr;
  double* scale_terms_ = nullptr;
};

}  // namespace cpu

template <element T>
struct detail::info_nce_call<cpu_context, T> : cpu::info_nce_call<T> {
  using cpu::info_nce_call<T>::info_nce_call;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
