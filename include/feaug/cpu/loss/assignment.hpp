// CPU implementation of the softmaxes of rows of scores and of Sinkhorn iterations. Each pass takes
// one exponential per score and reads the scores from memory once.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>

#include "feaug/core/element.hpp"
#include "feaug/core/elementary.hpp"
#include "feaug/core/finite.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/exponential.hpp"
#include "feaug/cpu/core/lanes.hpp"
#include "feaug/cpu/core/parallel.hpp"
#include "feaug/cpu/core/put_gradient.hpp"
#include "feaug/cpu/loss/concatenated_rows.hpp"
#include "feaug/loss/assignment.hpp"
#include "feaug/loss/row_reduction.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// eˣ in C's precision. The difference x is taken in double, so that scores of any size are
/// compared exactly; it is clamped at −1000, where the result is 0.
template <class C>
C exp_of_difference(double x) {
  return fast_exp(static_cast<C>(x < -1000.0 ? -1000.0 : x));
}

/// One row's softmax. Scratch: 8 + sizeof(C) bytes per column. One exponential per column.
template <class C>
struct row_softmax {
  double* exponents = nullptr;
  C* weights = nullptr;  ///< exp(exponent − shift)
  double shift = 0;      ///< the largest exponent
  double sum = 0;        ///< Σ weights

  template <class Exponents>
  void take(const Exponents& of, index_t cols) {
    for_each_in_lanes(cols, [&](index_t j) { exponents[j] = of(j); });
    const double largest = largest_of(exponents, cols);
    // If all are −∞ the weights are 0. A score of +∞ gives NaN (∞ − ∞).
    shift = largest < -feaug::detail::largest_finite ? 0.0 : largest;
    for_each_in_lanes(
        cols, [this](index_t j) { weights[j] = exp_of_difference<C>(exponents[j] - shift); });
    sum = sum_of(weights, cols);
  }
  [[nodiscard]] double log_sum_exp() const { return shift + feaug::detail::log(sum); }
  /// The factor that turns weights into assignments: so that they sum to 1 (0 if the sum is 0), or
  /// exp(shift) if no iteration has normalised the rows.
  [[nodiscard]] double factor(bool rows_sum_to_one) const {
    if (!rows_sum_to_one) return feaug::detail::exp(shift);
    return feaug::detail::is_equal(sum, 0) ? 0.0 : 1.0 / sum;
  }
};

/// One row_softmax per worker.
template <class C>
class row_softmaxes {
 public:
  row_softmaxes(const cpu_context& ctx, workspace::scope& scratch, index_t cols)
      : rows_(scratch.take<row_softmax<C>>(ctx.thread_count())) {
    for (int worker = 0; worker < ctx.thread_count(); ++worker) {
      rows_[worker] = {.exponents = scratch.take<double>(cols), .weights = scratch.take<C>(cols)};
    }
  }

  [[nodiscard]] row_softmax<C>& of(int worker) const { return rows_[worker]; }

 private:
  row_softmax<C>* rows_;
};

/// log Σ_j exp(score_ij / ε + potential_j) for all rows. One exponential per score.
template <element T>
void row_log_sum_exps(cpu_context& ctx, const concatenated_rows<T>& scores, index_t cols,
                      double scale, const vector_view<const double>& potentials,
                      double* log_sum_exps) {
  using C = compute_t<T>;
  workspace::scope scratch(ctx.workspace);
  const row_softmaxes<C> softmaxes(ctx, scratch, cols);
  for_each_row_block(ctx, scores.rows(), cols, [&](index_t begin, index_t count, int worker) {
    row_softmax<C>& row = softmaxes.of(worker);
    for (index_t i = begin; i < begin + count; ++i) {
      row.take(
          feaug::detail::row_exponents<T, memory_space::host>{scores.row(i), scale, potentials},
          cols);
      log_sum_exps[i] = row.log_sum_exp();
    }
  });
}

/// potential_j = −log Σ_i exp(score_ij / ε − log_sum_exp_i); log_sum_exps null: all 0. A worker processes
/// 64 columns of all rows, so that no sum is split. One exponential per score.
template <element T>
void column_potentials(cpu_context& ctx, const concatenated_rows<T>& scores, index_t cols,
                       double scale, const double* log_sum_exps, double* potentials) {
  using C = compute_t<T>;
  constexpr index_t chunk_cols = 64;
  for_each_block(ctx, (cols + chunk_cols - 1) / chunk_cols, [&](index_t chunk, int) {
    const index_t first = chunk * chunk_cols;
    const index_t width = std::min(chunk_cols, cols - first);
    feaug::detail::log_sum_exp sums[chunk_cols];
    for (index_t i = 0; i < scores.rows(); ++i) {
      const T* const row = scores.row(i) + first;
      const double lowered =
          log_sum_exps == nullptr ? 0.0 : feaug::detail::lowering(log_sum_exps[i]);
      for_each_in_lanes(width, [&](index_t j) {
        sums[j].add(static_cast<double>(load(row[j])) * scale + lowered,
                    [](double x) { return static_cast<double>(exp_of_difference<C>(x)); });
      });
    }
    for (index_t j = 0; j < width; ++j)
      potentials[first + j] = feaug::detail::lowering(sums[j].value());
  });
}

/// The potentials after sinkhorn's iterations. Each row is normalised by its own sum when it is
/// read. With 0 iterations rows are not normalised, and one common potential scales the total to N
/// + K.
template <element T>
void sinkhorn_iterations(cpu_context& ctx, const concatenated_rows<T>& scores, index_t cols,
                         double epsilon, index_t iterations, double* potentials) {
  const double scale = 1.0 / epsilon;
  workspace::scope scratch(ctx.workspace);
  auto* const log_sum_exps = scratch.take<double>(scores.rows());
  for (index_t k = 0; k < iterations; ++k) {
    if (k > 0) row_log_sum_exps(ctx, scores, cols, scale, {potentials, cols}, log_sum_exps);
    column_potentials(ctx, scores, cols, scale, k > 0 ? log_sum_exps : nullptr, potentials);
  }
  if (iterations > 0) return;
  row_log_sum_exps(ctx, scores, cols, scale, {}, log_sum_exps);
  feaug::detail::log_sum_exp total;
  for (index_t i = 0; i < scores.rows(); ++i)
    total.add(log_sum_exps[i], [](double x) { return feaug::detail::exp(x); });
  const double shift = feaug::detail::log(static_cast<double>(scores.rows()));
  std::fill_n(potentials, cols, shift + feaug::detail::lowering(total.value()));
}

/// Cross-entropy of predictions against assignments: loss_i = −Σ_j q_ij log p_ij with p =
/// softmax(scores / τ) and q the target's assignments, and its gradient (p_ij Σ_k q_ik − q_ij) / τ
/// with respect to the scores. Two exponentials per score, one for p and one for q.
template <element T>
struct assignment_direction {
  using C = compute_t<T>;
  operand<T> scores;
  assignment_target<T> target;
  double temperature;
  feaug::detail::row_reduction<C> reduction;
  double factor = 1;  ///< factor of the gradient

  /// Writes row losses unless `row_losses` is null, and the gradient if it is wanted.
  void run(cpu_context& ctx, double* row_losses) const {
    const index_t cols = scores.value.cols();
    workspace::scope scratch(ctx.workspace);
    const row_softmaxes<C> predictions(ctx, scratch, cols);
    const row_softmaxes<C> assignments(ctx, scratch, cols);
    for_each_row_block(
        ctx, scores.value.rows(), cols, [&](index_t begin, index_t count, int worker) {
          for (index_t i = begin; i < begin + count; ++i) {
            const double loss = row(i, predictions.of(worker), assignments.of(worker));
            if (row_losses != nullptr) row_losses[i] = loss;
          }
        });
  }

 private:
  double row(index_t i, row_softmax<C>& p, row_softmax<C>& q) const {
    using exponents = feaug::detail::row_exponents<T, memory_space::host>;
    const index_t cols = scores.value.cols();
    p.take(exponents{scores.value.row(i), 1.0 / temperature}, cols);
    q.take(exponents{target.scores.row(i), 1.0 / target.epsilon, target.potentials}, cols);
    const double to_assignment = q.factor(target.iterations > 0);
    const double total = q.sum * to_assignment;
    if (scores.wants_gradient()) {
      const double weight = factor * reduction.gradient_weight(i) / temperature;
      // A row without assignments has loss 0 and gradient 0, whatever its scores are.
      const auto of_p =
          static_cast<C>(feaug::detail::is_equal(total, 0) ? 0.0 : weight * total / p.sum);
      const auto of_q =
          static_cast<C>(feaug::detail::is_equal(total, 0) ? 0.0 : weight * to_assignment);
      put_gradient(scores, i, [&](index_t j) { return of_p * p.weights[j] - of_q * q.weights[j]; });
    }
    if (feaug::detail::is_equal(total, 0)) return 0;
    // Both terms are ≥ 0, so nothing cancels: −log p_ij = (largest exponent − exponent_ij) + log Σ.
    const double below = sum_of_terms<double>(cols, [&](index_t j) {
      const auto weight = static_cast<double>(q.weights[j]);
      const double term = weight * (p.shift - p.exponents[j]);
      return feaug::detail::is_equal(weight, 0) ? 0.0 : term;
    });
    return to_assignment * below + total * feaug::detail::log(p.sum);
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
