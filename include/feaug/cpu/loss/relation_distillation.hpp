// CPU implementation of relation_distillation: matches a query's similarities to a support with
// those of its key.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/row_arithmetic.hpp"
#include "feaug/cpu/loss/concatenated_rows.hpp"
#include "feaug/cpu/loss/contrast.hpp"
#include "feaug/cpu/loss/row_loss.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/relation_distillation.hpp"
#include "feaug/loss/row_reduction.hpp"
#include "feaug/queue/support_rows.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cpu {

// The teacher's mean rows are kept in blocks of 4 MiB.
inline constexpr index_t teacher_bytes = index_t{1} << 22;

/// One call of the loss; the constructor checks the arguments. Runs two softmax passes with means
/// (see relation_terms), and no other product. Scratch: 24 bytes per row, 8 per support row whose
/// norm is computed, 4 MiB (or one row) of means, and tiles.
template <element T>
class relation_distillation_call {
 public:
  using C = compute_t<T>;

  relation_distillation_call(cpu_context& ctx, std::string_view op, const operand<T>& queries,
                             const matrix_view<const T>& keys, const support_rows<T>& support,
                             const relation_distillation_options<T>& options,
                             const feaug::detail::loss_vectors<C>& vectors)
      : ctx_(ctx), queries_(queries), keys_(keys), support_(support), options_(options) {
    reduction_ = feaug::detail::relation_distillation_arguments(op, queries, keys, support, options,
                                                                vectors);
  }

  [[nodiscard]] index_t outputs() const { return reduction_.outputs(); }

  void run(vector_view<C> loss) {
    if (loss.empty() && !queries_.wants_gradient()) return;
    const index_t rows = reduction_.rows;
    const index_t cols = keys_.cols();
    workspace::scope scratch(ctx_.workspace);
    const bool normalize = options_.normalize;
    query_rows_ = concatenate_rows<T>(ctx_, scratch, normalize, queries_.value);
    key_rows_ = concatenate_rows<T>(ctx_, scratch, normalize, keys_);
    const bool stored_unit = support_.in_queue() && support_.queue().normalize;
    column_rows_ = concatenate_rows<T>(ctx_, scratch, normalize && !stored_unit,
                                       support_.rows().rows_from(0, support_.filled()));
    row_losses_ = scratch.take<double>(rows);
    const index_t row_bytes = cols * static_cast<index_t>(sizeof(C));
    const index_t at_once = std::clamp<index_t>(teacher_bytes / row_bytes, 1, rows);
    teacher_means_ = scratch.take<C>(at_once * cols);
    for (index_t first = 0; first < rows; first += at_once)
      run_block(first, std::min(at_once, rows - first));
    if (!loss.empty()) write_loss(reduction_, row_losses_, loss);
  }

 private:
  /// The softmax pass of rows first … first + count − 1 of a stack over the support.
  void softmax(const concatenated_rows<T>& stack, index_t first, index_t count, double temperature,
               bool with_mean, const row_finish<C>& finish) {
    vector_view<const std::int64_t> own = options_.exclude_ids;
    if (!own.empty()) {
      own.data += first * own.strides[0];
      own.extents[0] = count;
    }
    const contrast_problem<C> problem = {.rows = stack.part(first, count),
                                         .columns = column_rows_,
                                         .positives = {},
                                         .positives_are_columns = false,
                                         .cols = keys_.cols(),
                                         .scale = 1.0 / temperature,
                                         .excluded = {.ids = support_.ids(), .exclude_ids = own}};
    softmax_pass<C>(ctx_, problem, with_mean, false, finish);
  }

  void run_block(index_t first, index_t count) {
    const index_t cols = keys_.cols();
    softmax(key_rows_, first, count, options_.teacher_temperature, true,
            [&](index_t r, const row_statistics&, const C* mean) {
              std::copy_n(mean, cols, teacher_means_ + r * cols);
            });
    const bool by_queries = queries_.wants_gradient();
    softmax(query_rows_, first, count, options_.temperature, by_queries,
            [&](index_t r, const row_statistics& row, C* mean) {
              finish_row(first + r, row.log_sum_exp, teacher_means_ + r * cols, mean);
            });
  }

  /// `mean` is null if no gradient is wanted.
  void finish_row(index_t i, double log_sum_exp, const C* teacher_mean, C* mean) {
    const index_t cols = keys_.cols();
    const double cosine = scaled_dot(query_rows_.instructions, query_rows_.row(i),
                                     query_rows_.factor(i), teacher_mean, 1.0, cols);
    const feaug::detail::relation_terms terms(log_sum_exp, cosine, options_.temperature,
                                              reduction_.gradient_weight(i));
    row_losses_[i] = terms.loss;
    if (mean == nullptr) return;
    for (index_t d = 0; d < cols; ++d) mean[d] -= teacher_mean[d];
    normalize_backward_and_store(queries_, query_rows_, i, i, terms.coefficient, mean);
  }

  cpu_context& ctx_;
  operand<T> queries_;
  matrix_view<const T> keys_;
  support_rows<T> support_;
  relation_distillation_options<T> options_;
  feaug::detail::row_reduction<C> reduction_;
  concatenated_rows<T> query_rows_;
  concatenated_rows<T> key_rows_;
  concatenated_rows<T> column_rows_;
  C* teacher_means_ = nullptr;
  double* row_losses_ = nullptr;
};

}  // namespace cpu

template <element T>
struct detail::relation_distillation_call<cpu_context, T> : cpu::relation_distillation_call<T> {
  using cpu::relation_distillation_call<T>::relation_distillation_call;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
