// InfoNCE: every query is to find its own key among all keys and negatives.
#pragma once

#include <type_traits>

#include "feaug/core/error.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/reduce.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/loss/contrast.hpp"
#include "feaug/cpu/loss/kept_logits_pass.hpp"
#include "feaug/cpu/loss/row_loss.hpp"
#include "feaug/loss/info_nce.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace detail {

/// A validated call: everything the passes need.
template <element T>
class info_nce_call {
 public:
  using C = compute_t<T>;

  info_nce_call(cpu_context& ctx, std::string_view op, const operand<T>& queries,
                const operand<T>& keys, const info_nce_options<T>& options,
                vector_view<const C> cotangent = {})
      : ctx_(ctx), scratch_(ctx.workspace), queries_(queries), keys_(keys), options_(options) {
    reduction_ = info_nce_arguments(op, queries, keys, options, cotangent);
    temperature_ = cpu::number_of(options.temperature, options.learnable_temperature);
  }

  /// Norms, and scratch for what every row leaves. After all checks.
  void prepare() {
    const index_t rows = reduction_.rows;
    query_stack_ = cpu::make_stack<T>(ctx_, scratch_, options_.normalize, queries_.value);
    key_stack_ = cpu::make_stack<T>(ctx_, scratch_, options_.normalize, keys_.value,
                                    options_.negatives.value);
    positive_stack_ = key_stack_;
    positive_stack_.second = {};
    coefficients_ = scratch_.template take<double>(rows);
    log_sums_ = scratch_.template take<double>(rows);
    row_losses_ = scratch_.template take<double>(rows);
    scale_terms_ = scratch_.template take_filled<double>(rows, 0.0);
  }

  /// The soft-max of every query; with `gradients` also the gradient by queries and temperature
  /// from the same pass.
  void forward(bool gradients) {
    forward_rows(0, reduction_.rows, gradients,
                 [](index_t, const cpu::row_statistics& row, C*) { return row; });
    if (gradients) write_temperature_gradient();
  }

  /// The same of `count` queries from row `begin` on. join(i, row, mean) gives the statistics of
  /// query i with what else is in its soft-max, and takes it into the mean, if there is one.
  template <class Join>
  void forward_rows(index_t begin, index_t count, bool gradients, const Join& join) {
    cpu::contrast<T> problem = queries_against_keys();
    problem.rows = query_stack_.first_rows_from(begin, count);
    problem.pairs.shift += begin;
    cpu::soft_max_pass(ctx_, problem, gradients && queries_.wants_gradient(),
                       gradients && options_.learnable_temperature.wants_gradient(),
                       [&](index_t at, const cpu::row_statistics& found, C* mean) {
                         const index_t i = begin + at;
                         finish_query(i, join(i, found, mean), mean);
                       });
  }

  /// Loss and all gradients.
  void forward_and_backward() {
    const cpu::contrast<T> problem = queries_against_keys();
    const bool by_all_columns =
        options_.in_batch_negatives && keys_.wants_gradient() &&
        (options_.negatives.value.rows() == 0 || options_.negatives.wants_gradient());
    if (!by_all_columns || !cpu::can_keep_logits(problem)) {
      forward(true);
      key_gradients();
      return;
    }
    const index_t keys = keys_.value.rows();
    cpu::kept_logits_pass(
        ctx_, problem, queries_.wants_gradient(), options_.learnable_temperature.wants_gradient(),
        {.coefficient = coefficients_, .log_sum = log_sums_},
        [&](index_t i, const cpu::row_statistics& row, C* mean) { finish_query(i, row, mean); },
        [&](index_t j, C* sum) {
          const index_t i = j - options_.positive_offset;
          if (i >= 0 && i < reduction_.rows)
            query_stack_.add_row(i, -coefficients_[i], queries_.value.cols(), sum);
          const bool is_key = j < keys;
          cpu::finish_gradient(is_key ? keys_ : options_.negatives, key_stack_, j,
                               is_key ? j : j - keys, 1.0 / temperature_, sum);
        });
    write_temperature_gradient();
  }

  /// All gradients, from the statistics that forward gave out.
  void backward(vector_view<const C> statistics) {
    restore(statistics);
    query_gradient();
    key_gradients();
    temperature_gradient();
  }

  /// As forward left them, from the statistics that it gave out.
  void restore(vector_view<const C> statistics) {
    cpu::for_each_row_block(
        ctx_, reduction_.rows, queries_.value.cols(), [&](index_t begin, index_t count, int) {
          for (index_t i = begin; i < begin + count; ++i) {
            log_sums_[i] = static_cast<double>(statistics[i]);
            const double cosine =
                cpu::dot(query_stack_, i, positive_stack_, positive(i), queries_.value.cols());
            coefficients_[i] =
                reduction_.gradient_weight(i) * sigmoid(log_sums_[i] - cosine / temperature_);
          }
        });
  }

  void query_gradient() {
    if (!queries_.wants_gradient()) return;
    cpu::gradient_pass(
        ctx_, queries_against_keys(), {.coefficient = coefficients_, .log_sum = log_sums_}, {},
        [&](index_t i, C* sum) {
          cpu::finish_gradient(queries_, query_stack_, i, i, 1.0 / temperature_, sum);
        });
  }

  void temperature_gradient() {
    if (!options_.learnable_temperature.wants_gradient()) return;
    cpu::soft_max_pass(ctx_, queries_against_keys(), false, true,
                       [&](index_t i, const cpu::row_statistics& row, C*) {
                         scale_terms_[i] =
                             coefficients_[i] * (row.mean_cosine - row.positive_cosine);
                       });
    write_temperature_gradient();
  }

  /// The gradients by keys and negatives: the same pass with the sides exchanged.
  void key_gradients() {
    if (keys_.wants_gradient()) {
      cpu::contrast<T> problem = queries_against_keys().swapped();
      problem.rows = positive_stack_;
      problem.pairs = {.shift = -options_.positive_offset, .partners = reduction_.rows};
      if (!options_.in_batch_negatives) {
        // Then a key is met by its own query only, and that term is not part of the pass over
        // columns.
        problem.columns = {};
        problem.positives_are_columns = false;
      }
      side_gradient(problem, keys_);
    }
    if (options_.negatives.wants_gradient()) {
      cpu::contrast<T> problem = queries_against_keys().swapped();
      problem.rows = negative_stack();
      problem.pairs = {};
      side_gradient(problem, options_.negatives);
    }
  }

  void write(vector_view<C> loss, vector_view<C> statistics) const {
    cpu::write_loss(reduction_, row_losses_, loss);
    for (index_t i = 0; !statistics.empty() && i < reduction_.rows; ++i)
      statistics[i] = static_cast<C>(log_sums_[i]);
  }

  void write_temperature_gradient() {
    // s = cos/τ, so ∂L/∂τ = −1/τ² Σ ∂L/∂s · cos.
    cpu::write_scalar_gradient(
        options_.learnable_temperature,
        -cpu::sum_in_order(scale_terms_, reduction_.rows) / (temperature_ * temperature_));
  }

  [[nodiscard]] const row_reduction<C>& reduction() const { return reduction_; }
  [[nodiscard]] double temperature() const { return temperature_; }
  [[nodiscard]] const cpu::row_stack<T>& query_stack() const { return query_stack_; }
  [[nodiscard]] cpu::row_stack<T> negative_stack() const {
    const double* inverse = key_stack_.inverse;
    return {.first = options_.negatives.value,
            .second = {},
            .inverse = inverse == nullptr ? nullptr : inverse + keys_.value.rows()};
  }

 private:
  /// What a query's soft-max leaves; `mean`, if it wants a gradient, the mean of its columns.
  void finish_query(index_t i, const cpu::row_statistics& row, C* mean) {
    log_sums_[i] = row.log_sum;
    const double margin = row.log_sum - row.positive_cosine / temperature_;
    row_losses_[i] = softplus(margin);
    coefficients_[i] = reduction_.gradient_weight(i) * sigmoid(margin);
    // A row without negatives has no soft-max, but then its coefficient is 0 as well.
    scale_terms_[i] = coefficients_[i] * (row.mean_cosine - row.positive_cosine);
    if (mean == nullptr) return;
    // Σ_j ∂L/∂s_ij k_j = c·(mean − positive): the soft-max over the negatives against the positive.
    positive_stack_.add_row(positive(i), -1.0, queries_.value.cols(), mean);
    cpu::finish_gradient(queries_, query_stack_, i, i, coefficients_[i] / temperature_, mean);
  }

  [[nodiscard]] index_t positive(index_t i) const { return i + options_.positive_offset; }

  [[nodiscard]] cpu::contrast<T> queries_against_keys() const {
    return {.rows = query_stack_,
            .columns = options_.in_batch_negatives ? key_stack_ : negative_stack(),
            .positives = positive_stack_,
            .pairs = {.shift = options_.positive_offset, .partners = keys_.value.rows()},
            .positives_are_columns = options_.in_batch_negatives,
            .cols = queries_.value.cols(),
            .scale = 1.0 / temperature_};
  }

  void side_gradient(const cpu::contrast<T>& problem, const operand<T>& side) {
    cpu::gradient_pass(ctx_, problem, {}, {.coefficient = coefficients_, .log_sum = log_sums_},
                       [&](index_t i, C* sum) {
                         cpu::finish_gradient(side, problem.rows, i, i, 1.0 / temperature_, sum);
                       });
  }

  cpu_context& ctx_;
  workspace::scope scratch_;
  operand<T> queries_;
  operand<T> keys_;
  info_nce_options<T> options_;
  double temperature_ = 1;
  row_reduction<C> reduction_;
  cpu::row_stack<T> query_stack_;
  cpu::row_stack<T> key_stack_;  // keys, then negatives
  cpu::row_stack<T> positive_stack_;
  double* coefficients_ = nullptr;
  double* log_sums_ = nullptr;
  double* row_losses_ = nullptr;
  double* scale_terms_ = nullptr;
};

}  // namespace detail

/// InfoNCE (van den Oord et al., arXiv 1807.03748), with s = cos(queries, keys) / temperature and
/// p(i) = i + positive_offset:
///     loss_i = −s_i,p(i) + log Σ_j exp s_ij.
///
/// queries N × D, keys M × D with M ≥ N + positive_offset, loss 1 element or N (reduce::none).
/// `statistics`, if given, gets N numbers for info_nce_backward. Writes nothing else; never holds
/// an N × M matrix. NaN or ∞ in a row makes NaN of every row loss that reads it. Errors:
/// argument_error, see docs/errors.md.
template <class Q, class K, class T = std::remove_const_t<Q>>
requires element<T> && std::same_as<T, std::remove_const_t<K>>
void info_nce(cpu_context& ctx, const matrix_view<Q>& queries, const matrix_view<K>& keys,
              std::type_identity_t<vector_view<compute_t<T>>> loss,
              const std::type_identity_t<info_nce_options<T>>& options = {},
              std::type_identity_t<vector_view<compute_t<T>>> statistics = {}) {
  detail::info_nce_call<T> call(ctx, "info_nce", stop_gradient(queries), stop_gradient(keys),
                                options);
  check::loss_outputs("info_nce", loss, call.reduction().outputs(), statistics, queries.rows());
  call.prepare();
  call.forward(false);
  call.write(loss, statistics);
}

/// The same loss as a number, for mean and sum.
template <class Q, class K, class T = std::remove_const_t<Q>>
requires element<T> && std::same_as<T, std::remove_const_t<K>> compute_t<T> info_nce(
    cpu_context& ctx, const matrix_view<Q>& queries, const matrix_view<K>& keys,
    const std::type_identity_t<info_nce_options<T>>& options = {}) {
  check::one_number("info_nce", options.reduction);
  compute_t<T> loss{};
  info_nce(ctx, queries, keys, scalar(loss), options);
  return loss;
}

/// The gradients from what info_nce left in `statistics` (N), for a `cotangent` of one element or N
/// (reduce::none). Logits are computed again; nothing of size N × M was kept. Options as in the
/// forward call.
template <element T>
void info_nce_backward(cpu_context& ctx, const operand<T>& queries, const operand<T>& keys,
                       std::type_identity_t<vector_view<const compute_t<T>>> statistics,
                       std::type_identity_t<vector_view<const compute_t<T>>> cotangent,
                       const std::type_identity_t<info_nce_options<T>>& options = {}) {
  detail::info_nce_call<T> call(ctx, "info_nce_backward", queries, keys, options, cotangent);
  check::backward_inputs("info_nce_backward", statistics, queries.value.rows(), cotangent);
  call.prepare();
  call.backward(statistics);
}

/// Loss and gradients in one go, for a cotangent of options.gradient_scale: what a trainer calls.
/// With stopped keys one pass over the logits gives both; so it does for 1024 keys and more where
/// 14 MiB hold the gradient by keys and what a block of queries keeps. The gradient by a row with
/// norm ≤ 1e-12 is zero.
template <element T>
void info_nce_with_gradients(cpu_context& ctx, const operand<T>& queries, const operand<T>& keys,
                             std::type_identity_t<vector_view<compute_t<T>>> loss,
                             const std::type_identity_t<info_nce_options<T>>& options = {}) {
  detail::info_nce_call<T> call(ctx, "info_nce_with_gradients", queries, keys, options);
  check::loss_outputs("info_nce_with_gradients", loss, call.reduction().outputs(), {},
                      queries.value.rows());
  call.prepare();
  call.forward_and_backward();
  call.write(loss, {});
}

/// The same, with the loss as a number, for mean and sum.
template <element T>
compute_t<T> info_nce_with_gradients(
    cpu_context& ctx, const operand<T>& queries, const operand<T>& keys,
    const std::type_identity_t<info_nce_options<T>>& options = {}) {
  check::one_number("info_nce_with_gradients", options.reduction);
  compute_t<T> loss{};
  info_nce_with_gradients(ctx, queries, keys, scalar(loss), options);
  return loss;
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
