// What sinkhorn may be told, and what it refuses, on every backend.
#pragma once

#include <string_view>

#include "feaug/core/element.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Options of sinkhorn. T is the element type of the scores.
template <element T, memory_space Space = memory_space::host>
struct sinkhorn_options {
  /// Divides the scores; above 0. The smaller, the harder the assignments.
  double epsilon = 0.05;
  /// How often columns, then rows are scaled. At least 0.
  index_t iterations = 3;
  /// Further rows of scores, K × P, that take part in the balance and get no assignments: those of
  /// a queue of features.
  matrix_view<const T, Space> extra_scores = {};
};

namespace check {

inline void sinkhorn_numbers(std::string_view op, double epsilon, index_t iterations) {
  positive(op, "epsilon", epsilon);
  if (iterations < 0) fail(op, "iterations", text(iterations), "at least 0");
}

/// Scores of further rows: of as many prototypes as `scores`, or none at all.
template <class T, memory_space S>
void extra_scores(std::string_view op, std::string_view argument, const matrix_view<const T, S>& x,
                  index_t prototypes, std::string_view scores) {
  readable(op, argument, x);
  if (x.rows() > 0) has_columns(op, argument, x, prototypes, scores);
}

/// What sinkhorn and sinkhorn_potentials read.
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
                     const matrix_view<const T, S>& scores, const sinkhorn_options<T, S>& options) {
  writable(op, "out", out);
  has_shape(op, "out", out, scores.rows(), scores.cols(), "scores");
  apart_or_same(op, "out", out, "scores", scores);
  apart(op, "out", out, "extra_scores", options.extra_scores);
}

template <class T, memory_space S>
void sinkhorn_output(std::string_view op, const vector_view<double, S>& potentials,
                     const matrix_view<const T, S>& scores, const sinkhorn_options<T, S>& options) {
  writable(op, "potentials", potentials);
  has_size(op, "potentials", potentials, scores.cols(), "a number a prototype");
  apart(op, "potentials", detail::as_column(potentials), "scores", scores);
  apart(op, "potentials", detail::as_column(potentials), "extra_scores", options.extra_scores);
}

}  // namespace check
}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
