// CPU implementation of soft_neighbour_contrast: a contrastive loss whose positives are a query's
// key and, weighted by similarity, its neighbours (SNCLR).
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <string_view>

#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/rows.hpp"
#include "feaug/cpu/loss/concatenated_rows.hpp"
#include "feaug/cpu/loss/contrast.hpp"
#include "feaug/cpu/loss/row_loss.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/row_reduction.hpp"
#include "feaug/loss/soft_neighbour_contrast.hpp"
#include "feaug/queue/neighbour_softmax.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cpu {

/// One call of the loss; the constructor checks the arguments. With Y the sum of a row's labels y
/// and m the mean column of its softmax, loss = Y log Σ exp s − Σ y s, and its gradient with
/// respect to the query is (Y m − Σ y c) / τ: one softmax pass with means. Scratch: 32 + 16·k bytes
/// per row, and tiles.
template <element T>
class soft_neighbour_contrast_call {
 public:
  using C = compute_t<T>;

  soft_neighbour_contrast_call(cpu_context& ctx, std::string_view op, const operand<T>& queries,
                               const matrix_view<const T>& keys,
                               const matrix_view<const T>& neighbours,
                               const soft_neighbour_contrast_options<T>& options,
                               const feaug::detail::loss_vectors<C>& vectors)
      : ctx_(ctx), queries_(queries), keys_(keys), neighbours_(neighbours), options_(options) {
    reduction_ = feaug::detail::soft_neighbour_contrast_arguments(op, queries, keys, neighbours,
                                                                  options, vectors);
    k_ = neighbours.rows() / reduction_.rows;
  }

  [[nodiscard]] index_t outputs() const { return reduction_.outputs(); }

  void run(vector_view<C> loss) {
    if (loss.empty() && !queries_.wants_gradient() && !options_.attention.wants_gradient()) return;
    const index_t rows = reduction_.rows;
    workspace::scope scratch(ctx_.workspace);
    query_rows_ = concatenate_rows<T>(ctx_, scratch, options_.normalize, queries_.value);
    column_rows_ = concatenate_rows<T>(ctx_, scratch, options_.normalize, keys_, neighbours_);
    attention_rows_ = query_rows_;
    if (options_.attention.value.data != nullptr) {
      attention_rows_ =
          concatenate_rows<T>(ctx_, scratch, options_.normalize, options_.attention.value);
    }
    labels_ = scratch.take<double>(rows * k_);
    make_labels();
    if (!loss.empty() || queries_.wants_gradient()) {
      auto* const row_losses = scratch.take<double>(rows);
      contrast_queries(row_losses);
      if (!loss.empty()) write_loss(reduction_, row_losses, loss);
    }
    if (options_.attention.wants_gradient()) attention_gradient();
  }

 private:
  [[nodiscard]] index_t neighbour(index_t i, index_t rank) const {
    return reduction_.rows + i * k_ + rank;
  }
  [[nodiscard]] double cosine(const concatenated_rows<T>& rows, index_t i, index_t column) const {
    return dot(rows, i, column_rows_, column, keys_.cols());
  }

  /// Calls work(i, worker) for all rows, which read their neighbours.
  template <class Work>
  void for_each_query(const Work& work) {
    for_each_row(ctx_, reduction_.rows, (k_ + 1) * keys_.cols(), {}, work);
  }

  void make_labels() {
    for_each_query([&](index_t i, int) {
      double* const labels = labels_ + i * k_;
      neighbour_softmax softmax(options_.label_temperature);
      for (index_t rank = 0; rank < k_; ++rank) {
        labels[rank] = cosine(attention_rows_, i, neighbour(i, rank));
        softmax.take(labels[rank]);
      }
      for (index_t rank = 0; rank < k_; ++rank) labels[rank] = softmax.weight(labels[rank]);
    });
  }

  void contrast_queries(double* row_losses) {
    const contrast_problem<C> problem = {.rows = query_rows_,
                                         .columns = column_rows_,
                                         .positives = {},
                                         .positives_are_columns = false,
                                         .cols = keys_.cols(),
                                         .scale = 1.0 / options_.temperature};
    const double all = 1.0 + options_.neighbour_weight;
    softmax_pass<C>(
        ctx_, problem, queries_.wants_gradient(), false,
        [&](index_t i, const row_statistics& row, C* mean) {
          double own = cosine(query_rows_, i, i);
          for (index_t rank = 0; rank < k_; ++rank)
            own += label(i, rank) * cosine(query_rows_, i, neighbour(i, rank));
          row_losses[i] = all * row.log_sum_exp - own / options_.temperature;
          if (mean == nullptr) return;
          for (index_t d = 0; d < keys_.cols(); ++d) mean[d] *= static_cast<C>(all);
          column_rows_.add_row(i, -1.0, keys_.cols(), mean);
          for (index_t rank = 0; rank < k_; ++rank)
            column_rows_.add_row(neighbour(i, rank), -label(i, rank), keys_.cols(), mean);
          normalize_backward_and_store(queries_, query_rows_, i, i,
                                       reduction_.gradient_weight(i) / options_.temperature, mean);
        });
  }

  [[nodiscard]] double label(index_t i, index_t rank) const {
    return options_.neighbour_weight * labels_[i * k_ + rank];
  }

  /// Labels are a softmax, so the term common to all neighbours, log Σ exp s, cancels in their
  /// gradient.
  void attention_gradient() {
    const index_t cols = keys_.cols();
    workspace::scope scratch(ctx_.workspace);
    const row_buffers<C> gradients(ctx_, scratch, cols);
    const row_buffers<double> by_label(ctx_, scratch, k_);
    const neighbour_softmax softmax(options_.label_temperature);
    for_each_query([&](index_t i, int worker) {
      C* const gradient = gradients.of(worker);
      double* const slopes = by_label.of(worker);
      const double factor = -options_.neighbour_weight / options_.temperature;
      double mean = 0;
      for (index_t rank = 0; rank < k_; ++rank) {
        slopes[rank] = factor * cosine(query_rows_, i, neighbour(i, rank));
        mean += labels_[i * k_ + rank] * slopes[rank];
      }
      std::fill_n(gradient, cols, C{0});
      for (index_t rank = 0; rank < k_; ++rank) {
        const double slope = softmax.slope(labels_[i * k_ + rank], slopes[rank], mean);
        column_rows_.add_row(neighbour(i, rank), slope, cols, gradient);
      }
      normalize_backward_and_store(options_.attention, attention_rows_, i, i,
                                   reduction_.gradient_weight(i), gradient);
    });
  }

  cpu_context& ctx_;
  operand<T> queries_;
  matrix_view<const T> keys_;
  matrix_view<const T> neighbours_;
  soft_neighbour_contrast_options<T> options_;
  feaug::detail::row_reduction<C> reduction_;
  index_t k_ = 0;
  concatenated_rows<T> query_rows_;
  concatenated_rows<T> column_rows_;  // keys, then neighbours
  concatenated_rows<T> attention_rows_;
  double* labels_ = nullptr;  // N × k, without neighbour_weight
};

}  // namespace cpu

template <element T>
struct detail::soft_neighbour_contrast_call<cpu_context, T> : cpu::soft_neighbour_contrast_call<T> {
  using cpu::soft_neighbour_contrast_call<T>::soft_neighbour_contrast_call;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
