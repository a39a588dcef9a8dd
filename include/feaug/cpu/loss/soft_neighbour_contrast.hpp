// Contrast with soft neighbours: a query is to find its own key, and its neighbours as far as they
// are like it.
#pragma once

#include <algorithm>
#include <string_view>
#include <type_traits>

#include "feaug/core/error.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/reduce.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/rows.hpp"
#include "feaug/cpu/loss/contrast.hpp"
#include "feaug/cpu/loss/row_loss.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/soft_neighbour_contrast.hpp"
#include "feaug/queue/neighbour_soft_max.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace detail {

/// A validated call. With Y the sum of a row's labels y and m the mean column of its soft-max,
/// loss = Y log Σ exp s − Σ y s and its gradient by the query is (Y m − Σ y c) / τ: one soft-max
/// pass with means.
template <element T>
class soft_neighbour_contrast_call {
 public:
  using C = compute_t<T>;

  soft_neighbour_contrast_call(cpu_context& ctx, std::string_view op, const operand<T>& queries,
                               const matrix_view<const T>& keys,
                               const matrix_view<const T>& neighbours,
                               const soft_neighbour_contrast_options<T>& options,
                               vector_view<const C> cotangent = {})
      : ctx_(ctx), queries_(queries), keys_(keys), neighbours_(neighbours), options_(options) {
    reduction_ =
        soft_neighbour_contrast_arguments(op, queries, keys, neighbours, options, cotangent);
    k_ = neighbours.rows() / reduction_.rows;
  }

  [[nodiscard]] index_t outputs() const { return reduction_.outputs(); }

  /// The loss where it is wanted, and the gradients that are.
  void run(vector_view<C> loss) {
    const index_t rows = reduction_.rows;
    workspace::scope scratch(ctx_.workspace);
    query_stack_ = cpu::make_stack<T>(ctx_, scratch, options_.normalize, queries_.value);
    column_stack_ = cpu::make_stack<T>(ctx_, scratch, options_.normalize, keys_, neighbours_);
    attention_stack_ = query_stack_;
    if (options_.attention.value.data != nullptr) {
      attention_stack_ =
          cpu::make_stack<T>(ctx_, scratch, options_.normalize, options_.attention.value);
    }
    labels_ = scratch.take<double>(rows * k_);
    make_labels();
    if (!loss.empty() || queries_.wants_gradient()) {
      auto* const row_losses = scratch.take<double>(rows);
      contrast(row_losses);
      if (!loss.empty()) cpu::write_loss(reduction_, row_losses, loss);
    }
    if (options_.attention.wants_gradient()) attention_gradient();
  }

 private:
  [[nodiscard]] index_t neighbour(index_t i, index_t rank) const {
    return reduction_.rows + i * k_ + rank;
  }
  [[nodiscard]] double cosine(const cpu::row_stack<T>& rows, index_t i, index_t column) const {
    return cpu::dot(rows, i, column_stack_, column, keys_.cols());
  }

  /// work(i, worker) for all rows, which read their neighbours.
  template <class Work>
  void for_each_query(const Work& work) {
    cpu::for_each_row(ctx_, reduction_.rows, (k_ + 1) * keys_.cols(), {}, work);
  }

  void make_labels() {
    for_each_query([&](index_t i, int) {
      double* const labels = labels_ + i * k_;
      neighbour_soft_max soft_max(options_.label_temperature);
      for (index_t rank = 0; rank < k_; ++rank) {
        labels[rank] = cosine(attention_stack_, i, neighbour(i, rank));
        soft_max.take(labels[rank]);
      }
      for (index_t rank = 0; rank < k_; ++rank) labels[rank] = soft_max.weight(labels[rank]);
    });
  }

  void contrast(double* row_losses) {
    const cpu::contrast<T> problem = {.rows = query_stack_,
                                      .columns = column_stack_,
                                      .positives = {},
                                      .positives_are_columns = false,
                                      .cols = keys_.cols(),
                                      .scale = 1.0 / options_.temperature};
    const double all = 1.0 + options_.neighbour_weight;
    cpu::soft_max_pass(
        ctx_, problem, queries_.wants_gradient(), false,
        [&](index_t i, const cpu::row_statistics& row, C* mean) {
          double own = cosine(query_stack_, i, i);
          for (index_t rank = 0; rank < k_; ++rank)
            own += label(i, rank) * cosine(query_stack_, i, neighbour(i, rank));
          row_losses[i] = all * row.log_sum - own / options_.temperature;
          if (mean == nullptr) return;
          for (index_t d = 0; d < keys_.cols(); ++d) mean[d] *= static_cast<C>(all);
          column_stack_.add_row(i, -1.0, keys_.cols(), mean);
          for (index_t rank = 0; rank < k_; ++rank)
            column_stack_.add_row(neighbour(i, rank), -label(i, rank), keys_.cols(), mean);
          cpu::finish_gradient(queries_, query_stack_, i, i,
                               reduction_.gradient_weight(i) / options_.temperature, mean);
        });
  }

  [[nodiscard]] double label(index_t i, index_t rank) const {
    return options_.neighbour_weight * labels_[i * k_ + rank];
  }

  /// Labels are a soft-max, so that what is the same for all neighbours, log Σ exp s, drops out of
  /// their gradient.
  void attention_gradient() {
    const index_t cols = keys_.cols();
    workspace::scope scratch(ctx_.workspace);
    const cpu::row_buffers<C> gradients(ctx_, scratch, cols);
    const cpu::row_buffers<double> by_label(ctx_, scratch, k_);
    const neighbour_soft_max soft_max(options_.label_temperature);
    for_each_query([&](index_t i, int worker) {
      C* const gradient = gradients.of(worker);
      double* const slopes = by_label.of(worker);
      const double factor = -options_.neighbour_weight / options_.temperature;
      double mean = 0;
      for (index_t rank = 0; rank < k_; ++rank) {
        slopes[rank] = factor * cosine(query_stack_, i, neighbour(i, rank));
        mean += labels_[i * k_ + rank] * slopes[rank];
      }
      std::fill_n(gradient, cols, C{0});
      for (index_t rank = 0; rank < k_; ++rank) {
        const double slope = soft_max.slope(labels_[i * k_ + rank], slopes[rank], mean);
        column_stack_.add_row(neighbour(i, rank), slope, cols, gradient);
      }
      cpu::finish_gradient(options_.attention, attention_stack_, i, i,
                           reduction_.gradient_weight(i), gradient);
    });
  }

  cpu_context& ctx_;
  operand<T> queries_;
  matrix_view<const T> keys_;
  matrix_view<const T> neighbours_;
  soft_neighbour_contrast_options<T> options_;
  row_reduction<C> reduction_;
  index_t k_ = 0;
  cpu::row_stack<T> query_stack_;
  cpu::row_stack<T> column_stack_;  // keys, then neighbours
  cpu::row_stack<T> attention_stack_;
  double* labels_ = nullptr;  // N × k, without neighbour_weight
};

}  // namespace detail

/// Contrastive learning with soft neighbours (SNCLR; Ge et al., arXiv 2303.17142). The columns c
/// are every sample's own key and its k neighbours, N·(k + 1) of them; s_ic = cos(query_i, c) /
/// temperature and
///     loss_i = −Σ_c y_ic log softmax_c s_ic,
/// where y_ic is 1 for the own key, neighbour_weight · softmax_r(cos(attention_i, n_ir) /
/// label_temperature) for the own neighbours n_ir, 0 for all others. Labels sum to 1 +
/// neighbour_weight, SNCLR's 2; its factor 2 · temperature is left to the caller. The gradient by
/// s_ic is (1 + neighbour_weight) softmax_ic − y_ic.
///
/// queries and keys N × D; neighbours N·k × D, those of query 0 first, as nearest writes its
/// values; loss 1 element or N (reduce::none). Keys and neighbours are constants; queries may have
/// a gradient, and options.attention, of which labels are constants otherwise. Never holds an N ×
/// N·(k + 1) matrix. NaN or ∞ in a key or a neighbour makes every loss NaN, in a query or a row of
/// attention its own.
///
/// Errors: shapes, numbers, overlaps. Scratch: 32 + 16·k bytes a row, and tiles.
template <class Q, class T = std::remove_const_t<Q>>
requires element<T>
void soft_neighbour_contrast(
    cpu_context& ctx, const matrix_view<Q>& queries,
    const std::type_identity_t<matrix_view<const T>>& keys,
    const std::type_identity_t<matrix_view<const T>>& neighbours,
    std::type_identity_t<vector_view<compute_t<T>>> loss,
    const std::type_identity_t<soft_neighbour_contrast_options<T>>& options = {}) {
  constexpr std::string_view op = "soft_neighbour_contrast";
  soft_neighbour_contrast_options<T> constant = options;
  constant.attention = stop_gradient(options.attention.value);
  detail::soft_neighbour_contrast_call<T> call(ctx, op, stop_gradient(queries), keys, neighbours,
                                               constant);
  check::loss_outputs(op, loss, call.outputs(), {}, 0);
  call.run(loss);
}

/// The same loss as a number, for mean and sum.
template <class Q, class T = std::remove_const_t<Q>>
requires element<T> compute_t<T> soft_neighbour_contrast(
    cpu_context& ctx, const matrix_view<Q>& queries,
    const std::type_identity_t<matrix_view<const T>>& keys,
    const std::type_identity_t<matrix_view<const T>>& neighbours,
    const std::type_identity_t<soft_neighbour_contrast_options<T>>& options = {}) {
  check::one_number("soft_neighbour_contrast", options.reduction);
  compute_t<T> loss{};
  soft_neighbour_contrast(ctx, queries, keys, neighbours, scalar(loss), options);
  return loss;
}

/// The gradients for a `cotangent` of one element or N (reduce::none). Needs no statistics: the
/// soft-max and its mean column come from one pass.
template <element T>
void soft_neighbour_contrast_backward(
    cpu_context& ctx, const operand<T>& queries,
    const std::type_identity_t<matrix_view<const T>>& keys,
    const std::type_identity_t<matrix_view<const T>>& neighbours,
    std::type_identity_t<vector_view<const compute_t<T>>> cotangent,
    const std::type_identity_t<soft_neighbour_contrast_options<T>>& options = {}) {
  constexpr std::string_view op = "soft_neighbour_contrast_backward";
  detail::soft_neighbour_contrast_call<T> call(ctx, op, queries, keys, neighbours, options,
                                               cotangent);
  check::has_cotangent(op, cotangent);
  if (queries.wants_gradient() || options.attention.wants_gradient()) call.run({});
}

/// Loss and gradients in one go, for a cotangent of options.gradient_scale. The gradient by a row
/// with norm ≤ 1e-12 is zero.
template <element T>
void soft_neighbour_contrast_with_gradients(
    cpu_context& ctx, const operand<T>& queries,
    const std::type_identity_t<matrix_view<const T>>& keys,
    const std::type_identity_t<matrix_view<const T>>& neighbours,
    std::type_identity_t<vector_view<compute_t<T>>> loss,
    const std::type_identity_t<soft_neighbour_contrast_options<T>>& options = {}) {
  constexpr std::string_view op = "soft_neighbour_contrast_with_gradients";
  detail::soft_neighbour_contrast_call<T> call(ctx, op, queries, keys, neighbours, options);
  check::loss_outputs(op, loss, call.outputs(), {}, 0);
  call.run(loss);
}

/// The same, with the loss as a number, for mean and sum.
template <element T>
compute_t<T> soft_neighbour_contrast_with_gradients(
    cpu_context& ctx, const operand<T>& queries,
    const std::type_identity_t<matrix_view<const T>>& keys,
    const std::type_identity_t<matrix_view<const T>>& neighbours,
    const std::type_identity_t<soft_neighbour_contrast_options<T>>& options = {}) {
  check::one_number("soft_neighbour_contrast_with_gradients", options.reduction);
  compute_t<T> loss{};
  soft_neighbour_contrast_with_gradients(ctx, queries, keys, neighbours, scalar(loss), options);
  return loss;
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
