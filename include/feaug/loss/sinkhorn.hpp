// Sinkhorn: turns scores into assignments that use all prototypes equally.
#pragma once

#include "feaug/header_begin.hpp"

#include <string_view>
#include <type_traits>

#include "feaug/core/any_context.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Options of sinkhorn. T is the element type of the scores.
template <element T, memory_space Space = memory_space::host>
struct sinkhorn_options {
  /// Divides the scores; above 0. Smaller values give harder assignments.
  double epsilon = 0.05;
  /// Number of iterations; each scales columns, then rows. At least 0.
  index_t iterations = 3;
  /// K × P further rows of scores, for example those of a feature queue. They take part in the
  /// balancing and get no assignments.
  matrix_view<const T, Space> extra_scores = {};
};

namespace detail {

/// One call of sinkhorn or sinkhorn_potentials; the constructor checks the arguments. It has
///   write_assignments(out), write_potentials(potentials)
template <class Context, element T>
struct sinkhorn_call {
  static_assert(is_included<Context>,
                "include feaug/cpu/loss/sinkhorn.hpp or feaug/cuda/loss/sinkhorn.cuh");
};

}  // namespace detail

namespace check {

inline void sinkhorn_numbers(std::string_view op, double epsilon, index_t iterations) {
  positive(op, "epsilon", epsilon);
  if (iterations < 0) fail(op, "iterations", text(iterations), "at least 0");
}

/// Checks further rows of scores: as many prototypes as `scores`, or no rows.
template <class T, memory_space S>
void extra_scores(std::string_view op, std::string_view argument, const matrix_view<const T, S>& x,
                  index_t prototypes, std::string_view scores) {
  readable(op, argument, x);
  if (x.rows() > 0) has_columns(op, argument, x, prototypes, scores);
}

/// Checks the inputs of sinkhorn and sinkhorn_potentials.
template <class T, memory_space S>
void sinkhorn_inputs(std::string_view op, const matrix_view<const T, S>& scores,
                     const sinkhorn_options<T, S>& options) {
  readable(op, "scores", scores);
  not_empty(op, "scores", scores);
  sinkhorn_numbers(op, options.epsilon, options.iterations);
  extra_scores(op, "extra_scores", options.extra_scores, scores.cols(), "scores");
}

template <class T, memory_space S>
void sinkhorn_output(std::string_view op, const matrix_view<T, S>& out,
                     const std::type_identity_t<matrix_view<const T, S>>& scores,
                     const sinkhorn_options<T, S>& options) {
  writable(op, "out", out);
  has_shape(op, "out", out, scores.rows(), scores.cols(), "scores");
  apart_or_same(op, "out", out, "scores", scores);
  apart(op, "out", out, "extra_scores", options.extra_scores);
}

template <class T, memory_space S>
void sinkhorn_output(std::string_view op, const vector_view<double, S>& potentials,
                     const std::type_identity_t<matrix_view<const T, S>>& scores,
                     const sinkhorn_options<T, S>& options) {
  writable(op, "potentials", potentials);
  has_size(op, "potentials", potentials, scores.cols(), "a number a prototype");
  apart(op, "potentials", detail::as_column(potentials), "scores", scores);
  apart(op, "potentials", detail::as_column(potentials), "extra_scores", options.extra_scores);
}

}  // namespace check

/// Assignments of N samples to P prototypes, balanced over the prototypes (Cuturi, arXiv 1306.0895,
/// as used in SwAV: Caron et al., arXiv 2006.09882). exp(scores / epsilon) is scaled to total 1.
/// Each iteration scales every column to sum 1/P, then every row to sum 1/(N + K). At the end
/// everything is multiplied by N + K, so that rows sum to 1. With 0 iterations only the total is N
/// + K.
///
/// * scores, out: N × P. out may be scores itself (same pointer, same strides); any other overlap
/// is an error.
/// * extra_scores (an option): K × P. These rows take part and are not written.
///
/// The result is a constant: it has no gradient, as in SwAV. Computed with log-sum-exp, so that it
/// stays finite while scores / epsilon are far from double's range, and rows sum to 1 up to
/// rounding. A score of −∞ gives an assignment of 0; a row of only −∞ gives a row of 0; a prototype
/// of only −∞ is ignored. NaN or +∞ in a score makes all results NaN, since the columns couple all
/// rows.
template <any_context Context, class S, class T = std::remove_const_t<S>>
requires element<T>
void sinkhorn(Context& ctx, const matrix_view<S, Context::space>& scores,
              std::type_identity_t<matrix_view<T, Context::space>> out,
              const std::type_identity_t<sinkhorn_options<T, Context::space>>& options = {}) {
  constexpr std::string_view op = "sinkhorn";
  detail::sinkhorn_call<Context, T> call(ctx, op, scores, options);
  check::sinkhorn_output<T>(op, out, scores, options);
  require_reachable(ctx, op, "out", out);
  call.write_assignments(out);
}

/// Writes one potential per prototype: assignment row i of sinkhorn is softmax(scores_i / epsilon +
/// potentials). An assignment_target of potentials and scores represents the assignments in
/// assignment_loss without a second N × P array. Potentials are double for every T: they are as
/// large as scores / epsilon, and their differences matter.
template <any_context Context, class S, class T = std::remove_const_t<S>>
requires element<T>
void sinkhorn_potentials(
    Context& ctx, const matrix_view<S, Context::space>& scores,
    std::type_identity_t<vector_view<double, Context::space>> potentials,
    const std::type_identity_t<sinkhorn_options<T, Context::space>>& options = {}) {
  constexpr std::string_view op = "sinkhorn_potentials";
  detail::sinkhorn_call<Context, T> call(ctx, op, scores, options);
  check::sinkhorn_output<T>(op, potentials, scores, options);
  require_reachable(ctx, op, "potentials", potentials);
  call.write_potentials(potentials);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
