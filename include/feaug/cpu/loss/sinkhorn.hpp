// Sinkhorn: scores become assignments that use all prototypes alike.
#pragma once

#include <string_view>
#include <type_traits>

#include "feaug/core/element.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/parallel.hpp"
#include "feaug/cpu/loss/assignment.hpp"
#include "feaug/loss/assignment.hpp"
#include "feaug/loss/sinkhorn.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Assignments of N samples to P prototypes, balanced over the prototypes (Cuturi, arXiv 1306.0895,
/// as SwAV takes it: Caron et al., arXiv 2006.09882). exp(scores / epsilon) is scaled to total 1;
/// each iteration scales every column to sum 1/P, then every row to sum 1/(N + K); at last all is
/// multiplied by N + K, so that rows sum to 1. Without iterations only the total is N + K.
///
/// * scores, out: N × P. out may be scores itself (same pointer, same strides); any other overlap
/// is an error.
/// * extra_scores: K × P of the options: their rows take part and are not written.
///
/// A constant: it has no gradient, as in SwAV. Computed with logarithms, so that it is finite while
/// scores / epsilon are far from double's range, and rows sum to 1 to rounding. A score of −∞ is an
/// assignment of 0; a row of −∞ alone is 0 throughout, a prototype of −∞ alone takes no part. NaN
/// or +∞ makes NaN of everything, since every row is read by all through the columns.
/// Scratch: 8 bytes a row and a prototype, and 16 a prototype and thread.
template <class S, class T = std::remove_const_t<S>>
requires element<T>
void sinkhorn(cpu_context& ctx, const matrix_view<S>& scores,
              std::type_identity_t<matrix_view<T>> out,
              const std::type_identity_t<sinkhorn_options<T>>& options = {}) {
  using C = compute_t<T>;
  constexpr std::string_view op = "sinkhorn";
  const matrix_view<const T> read = scores;
  check::sinkhorn_inputs<T>(op, read, options);
  check::sinkhorn_output<T>(op, out, read, options);
  const index_t cols = scores.cols();
  workspace::scope scratch(ctx.workspace);
  auto* const potentials = scratch.take<double>(cols);
  cpu::sinkhorn_iterations<T>(ctx, {.first = read, .second = options.extra_scores}, cols,
                              options.epsilon, options.iterations, potentials);
  const cpu::row_soft_maxes<C> soft_maxes(ctx, scratch, cols);
  cpu::for_each_row_block(ctx, scores.rows(), cols, [&](index_t begin, index_t count, int worker) {
    cpu::row_soft_max<C>& row = soft_maxes.of(worker);
    for (index_t i = begin; i < begin + count; ++i) {
      row.take(
          detail::row_exponents<T, memory_space::host>{
              read.row(i), 1.0 / options.epsilon, {potentials, cols}},
          cols);
      const auto factor = static_cast<C>(row.factor(options.iterations > 0));
      for (index_t j = 0; j < cols; ++j) out(i, j) = store<T>(row.weights[j] * factor);
    }
  });
}

/// What sinkhorn found, one number a prototype: assignment row i is the soft-max of scores_i /
/// epsilon + potentials. An assignment_target of these and the scores stands for the assignments in
/// assignment_loss, without a second N × P array. In double for every T: they are as large as
/// scores / epsilon, and differences of them count.
template <class S, class T = std::remove_const_t<S>>
requires element<T>
void sinkhorn_potentials(cpu_context& ctx, const matrix_view<S>& scores,
                         vector_view<double> potentials,
                         const std::type_identity_t<sinkhorn_options<T>>& options = {}) {
  constexpr std::string_view op = "sinkhorn_potentials";
  const matrix_view<const T> read = scores;
  check::sinkhorn_inputs<T>(op, read, options);
  check::sinkhorn_output<T>(op, potentials, read, options);
  const index_t cols = scores.cols();
  workspace::scope scratch(ctx.workspace);
  auto* const found = scratch.take<double>(cols);
  cpu::sinkhorn_iterations<T>(ctx, {.first = read, .second = options.extra_scores}, cols,
                              options.epsilon, options.iterations, found);
  for (index_t j = 0; j < cols; ++j) potentials[j] = found[j];
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
