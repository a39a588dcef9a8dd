// One or two matrices read as one sequence of rows, either normalised or as stored.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/core/element.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/l2_norm.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// Rows 0 … first.rows() − 1 are first's, the others second's; nothing is copied. Row i is
/// multiplied by inverse[i] when it is read; null reads the rows as they are.
template <element T>
struct concatenated_rows {
  using C = compute_t<T>;

  matrix_view<const T> first = {};
  matrix_view<const T> second = {};
  const double* inverse = nullptr;

  [[nodiscard]] index_t rows() const { return first.rows() + second.rows(); }
  [[nodiscard]] const T* row(index_t i) const {
    return i < first.rows() ? first.row(i) : second.row(i - first.rows());
  }
  [[nodiscard]] double factor(index_t i) const { return inverse == nullptr ? 1.0 : inverse[i]; }

  /// Only rows begin … begin + count − 1, which must all be first's.
  [[nodiscard]] concatenated_rows first_rows_from(index_t begin, index_t count) const {
    return {.first = first.rows_from(begin, count),
            .second = {},
            .inverse = inverse == nullptr ? nullptr : inverse + begin};
  }

  /// target += weight · row i
  void add_row(index_t i, double weight, index_t cols, C* target) const {
    const T* source = row(i);
    const double f = factor(i);
    for (index_t j = 0; j < cols; ++j) {
      target[j] += static_cast<C>(weight * (static_cast<double>(load(source[j])) * f));
    }
  }
};

/// The dot product of two rows, in double.
template <element T>
double dot(const concatenated_rows<T>& a, index_t i, const concatenated_rows<T>& b, index_t j,
           index_t cols) {
  const T* x = a.row(i);
  const T* y = b.row(j);
  const double fx = a.factor(i);
  const double fy = b.factor(j);
  double sum = 0;
  for (index_t d = 0; d < cols; ++d) {
    sum += (static_cast<double>(load(x[d])) * fx) * (static_cast<double>(load(y[d])) * fy);
  }
  return sum;
}

/// The stack of two matrices, with the inverse norms of its rows in scratch memory; without
/// `normalize`, the rows as they are.
template <element T>
concatenated_rows<T> concatenate_rows(cpu_context& ctx, workspace::scope& scratch, bool normalize,
                                      matrix_view<const T> first,
                                      matrix_view<const T> second = {}) {
  concatenated_rows<T> stack{.first = first, .second = second};
  if (!normalize) return stack;
  auto* inverse = scratch.take<double>(stack.rows());
  inverse_norms(ctx, first, default_norm_eps, inverse);
  inverse_norms(ctx, second, default_norm_eps, inverse + first.rows());
  stack.inverse = inverse;
  return stack;
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
