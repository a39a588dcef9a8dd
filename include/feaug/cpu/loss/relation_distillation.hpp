// Relational distillation: a query is to stand to a support as its key does.
#pragma once

#include <algorithm>
#include <string_view>
#include <type_traits>

#include "feaug/core/error.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/reduce.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/loss/contrast.hpp"
#include "feaug/cpu/loss/row_loss.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/relation_distillation.hpp"
#include "feaug/queue/support_rows.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace detail {

// 4 MiB of the teacher's mean rows at a time.
inline constexpr index_t teacher_bytes = index_t{1} << 22;

/// A validated call. With P and T the soft-maxes of query and key, m_P and m_T their mean support
/// rows, loss = log Σ exp s − q·m_T / τ and its gradient by q is (m_P − m_T) / τ: two soft-max
/// passes with means, and no other product.
template <element T>
class relation_distillation_call {
 public:
  using C = compute_t<T>;

  relation_distillation_call(cpu_context& ctx, std::string_view op, const operand<T>& queries,
                             const matrix_view<const T>& keys, const support_rows<T>& support,
                             const relation_distillation_options<T>& options,
                             vector_view<const C> cotangent = {})
      : ctx_(ctx), queries_(queries), keys_(keys), support_(support), options_(options) {
    reduction_ = relation_distillation_arguments(op, queries, keys, support, options, cotangent);
  }

  [[nodiscard]] index_t outputs() const { return reduction_.outputs(); }

  /// The loss where it is wanted, and the gradient if it is.
  void run(vector_view<C> loss) {
    const index_t rows = reduction_.rows;
    const index_t cols = keys_.cols();
    workspace::scope scratch(ctx_.workspace);
    const bool normalize = options_.normalize;
    query_stack_ = cpu::make_stack<T>(ctx_, scratch, normalize, queries_.value);
    key_stack_ = cpu::make_stack<T>(ctx_, scratch, normalize, keys_);
    const bool stored_unit = support_.in_queue() && support_.queue().normalize;
    column_stack_ = cpu::make_stack<T>(ctx_, scratch, normalize && !stored_unit,
                                       support_.rows().rows_from(0, support_.filled()));
    row_losses_ = scratch.take<double>(rows);
    const index_t row_bytes = cols * static_cast<index_t>(sizeof(C));
    const index_t at_once = std::clamp<index_t>(teacher_bytes / row_bytes, 1, rows);
    teacher_means_ = scratch.take<C>(at_once * cols);
    for (index_t first = 0; first < rows; first += at_once)
      run_block(first, std::min(at_once, rows - first));
    if (!loss.empty()) cpu::write_loss(reduction_, row_losses_, loss);
  }

 private:
  /// The soft-max pass over the support of rows first … first + count − 1 of a stack.
  template <class Finish>
  void soft_max(const cpu::row_stack<T>& stack, index_t first, index_t count, double temperature,
                bool with_mean, const Finish& finish) {
    vector_view<const std::int64_t> own = options_.exclude_ids;
    if (!own.empty()) {
      own.data += first * own.strides[0];
      own.extents[0] = count;
    }
    const cpu::contrast<T> problem = {
        .rows = {.first = stack.first.rows_from(first, count),
                 .second = {},
                 .inverse = stack.inverse == nullptr ? nullptr : stack.inverse + first},
        .columns = column_stack_,
        .positives = {},
        .positives_are_columns = false,
        .cols = keys_.cols(),
        .scale = 1.0 / temperature,
        .excluded = {.ids = support_.ids(), .exclude_ids = own}};
    cpu::soft_max_pass(ctx_, problem, with_mean, false, finish);
  }

  void run_block(index_t first, index_t count) {
    const index_t cols = keys_.cols();
    soft_max(key_stack_, first, count, options_.teacher_temperature, true,
             [&](index_t r, const cpu::row_statistics&, const C* mean) {
               std::copy_n(mean, cols, teacher_means_ + r * cols);
             });
    const bool by_queries = queries_.wants_gradient();
    soft_max(query_stack_, first, count, options_.temperature, by_queries,
             [&](index_t r, const cpu::row_statistics& row, C* mean) {
               finish_row(first + r, row.log_sum, teacher_means_ + r * cols, mean);
             });
  }

  /// `mean` is null where no gradient is wanted.
  void finish_row(index_t i, double log_sum, const C* teacher_mean, C* mean) {
    const index_t cols = keys_.cols();
    const double factor = query_stack_.factor(i);
    double cosine = 0;
    for (index_t d = 0; d < cols; ++d) {
      cosine += (static_cast<double>(load(queries_.value(i, d))) * factor) *
                static_cast<double>(teacher_mean[d]);
    }
    row_losses_[i] = log_sum - cosine / options_.temperature;
    if (mean == nullptr) return;
    for (index_t d = 0; d < cols; ++d) mean[d] -= teacher_mean[d];
    cpu::finish_gradient(queries_, query_stack_, i, i,
                         reduction_.gradient_weight(i) / options_.temperature, mean);
  }

  cpu_context& ctx_;
  operand<T> queries_;
  matrix_view<const T> keys_;
  support_rows<T> support_;
  relation_distillation_options<T> options_;
  row_reduction<C> reduction_;
  cpu::row_stack<T> query_stack_;
  cpu::row_stack<T> key_stack_;
  cpu::row_stack<T> column_stack_;
  C* teacher_means_ = nullptr;
  double* row_losses_ = nullptr;
};

}  // namespace detail

/// Relational self-supervised learning (ReSSL; Zheng et al., arXiv 2107.09282): with v_j the filled
/// rows of a support queue, or the rows of a matrix,
///     P_i = softmax_j(cos(query_i, v_j) / temperature),
///     T_i = softmax_j(cos(key_i, v_j) / teacher_temperature),
///     loss_i = −Σ_j T_ij log P_ij,
/// and its gradient by cos(query_i, v_j) is (P_ij − T_ij) / temperature. Keys and support are
/// constants.
///
/// queries and keys N × D, loss 1 element or N (reduce::none). Never holds an N × M matrix. NaN or
/// ∞ in a query or key makes its row's loss NaN, in a row of the support every loss.
///
/// Errors: an empty queue, exclude_ids that leave a query nothing, shapes, overlaps. Scratch: 24
/// bytes a row, 8 a row of the support whose norm is taken, 4 MiB (or a row) of means, and tiles.
template <class Q, class T = std::remove_const_t<Q>>
requires element<T>
void relation_distillation(
    cpu_context& ctx, const matrix_view<Q>& queries,
    const std::type_identity_t<matrix_view<const T>>& keys,
    const std::type_identity_t<support_rows<T>>& support,
    std::type_identity_t<vector_view<compute_t<T>>> loss,
    const std::type_identity_t<relation_distillation_options<T>>& options = {}) {
  constexpr std::string_view op = "relation_distillation";
  detail::relation_distillation_call<T> call(ctx, op, stop_gradient(queries), keys, support,
                                             options);
  check::loss_outputs(op, loss, call.outputs(), {}, 0);
  call.run(loss);
}

/// The same loss as a number, for mean and sum.
template <class Q, class T = std::remove_const_t<Q>>
requires element<T> compute_t<T> relation_distillation(
    cpu_context& ctx, const matrix_view<Q>& queries,
    const std::type_identity_t<matrix_view<const T>>& keys,
    const std::type_identity_t<support_rows<T>>& support,
    const std::type_identity_t<relation_distillation_options<T>>& options = {}) {
  check::one_number("relation_distillation", options.reduction);
  compute_t<T> loss{};
  relation_distillation(ctx, queries, keys, support, scalar(loss), options);
  return loss;
}

/// The gradient by the queries, for a `cotangent` of one element or N (reduce::none). Needs no
/// statistics: both soft-maxes are made again with their means, one product more than from known
/// sums.
template <element T>
void relation_distillation_backward(
    cpu_context& ctx, const operand<T>& queries,
    const std::type_identity_t<matrix_view<const T>>& keys,
    const std::type_identity_t<support_rows<T>>& support,
    std::type_identity_t<vector_view<const compute_t<T>>> cotangent,
    const std::type_identity_t<relation_distillation_options<T>>& options = {}) {
  constexpr std::string_view op = "relation_distillation_backward";
  detail::relation_distillation_call<T> call(ctx, op, queries, keys, support, options, cotangent);
  check::has_cotangent(op, cotangent);
  if (queries.wants_gradient()) call.run({});
}

/// Loss and gradient in one go, for a cotangent of options.gradient_scale: hardly dearer than the
/// gradient alone. The gradient by a query with norm ≤ 1e-12 is zero.
template <element T>
void relation_distillation_with_gradients(
    cpu_context& ctx, const operand<T>& queries,
    const std::type_identity_t<matrix_view<const T>>& keys,
    const std::type_identity_t<support_rows<T>>& support,
    std::type_identity_t<vector_view<compute_t<T>>> loss,
    const std::type_identity_t<relation_distillation_options<T>>& options = {}) {
  constexpr std::string_view op = "relation_distillation_with_gradients";
  detail::relation_distillation_call<T> call(ctx, op, queries, keys, support, options);
  check::loss_outputs(op, loss, call.outputs(), {}, 0);
  call.run(loss);
}

/// The same, with the loss as a number, for mean and sum.
template <element T>
compute_t<T> relation_distillation_with_gradients(
    cpu_context& ctx, const operand<T>& queries,
    const std::type_identity_t<matrix_view<const T>>& keys,
    const std::type_identity_t<support_rows<T>>& support,
    const std::type_identity_t<relation_distillation_options<T>>& options = {}) {
  check::one_number("relation_distillation_with_gradients", options.reduction);
  compute_t<T> loss{};
  relation_distillation_with_gradients(ctx, queries, keys, support, scalar(loss), options);
  return loss;
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
