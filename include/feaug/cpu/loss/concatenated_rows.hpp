// One or two matrices read as one sequence of rows, either normalised or as stored.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/core/element.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/cpu/core/l2_norm.hpp"
#include "feaug/cpu/core/row_arithmetic.hpp"
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
  instruction_set instructions = instruction_set::portable;

  [[nodiscard]] index_t rows() const { return first.rows() + second.rows(); }
  [[nodiscard]] const T* row(index_t i) const {
    return i < first.rows() ? first.row(i) : second.row(i - first.rows());
  }
  [[nodiscard]] double factor(index_t i) const { return inverse == nullptr ? 1.0 : inverse[i]; }

  /// Only rows begin … begin + count − 1, which must all be first's or all second's.
  [[nodiscard]] concatenated_rows part(index_t begin, index_t count) const {
    concatenated_rows rows = *this;
    rows.first = begin < first.rows() ? first.rows_from(begin, count)
                                      : second.rows_from(begin - first.rows(), count);
    rows.second = {};
    if (inverse != nullptr) rows.inverse += begin;
    return rows;
  }

  /// target += weight · row i
  void add_row(index_t i, double weight, index_t cols, C* target) const {
    add_scaled_row(instructions, row(i), factor(i), weight, cols, target);
  }
};

/// The dot product of two rows, in double.
template <element T>
double dot(const concatenated_rows<T>& a, index_t i, const concatenated_rows<T>& b, index_t j,
           index_t cols) {
  return scaled_dot(a.instructions, a.row(i), a.factor(i), b.row(j), b.factor(j), cols);
}

/// The stack of two matrices, with the inverse norms of its rows in scratch memory; without
/// `normalize`, the rows as they are.
template <element T>
concatenated_rows<T> concatenate_rows(cpu_context& ctx, workspace::scope& scratch, bool normalize,
                                      matrix_view<const T> first,
                                      matrix_view<const T> second = {}) {
  concatenated_rows<T> stack{
      .first = first, .second = second, .instructions = usable(ctx.instructions)};
  if (!normalize) return stack;
  auto* inverse = scratch.take<double>(stack.rows());
  inverse_norms(ctx, first, default_norm_eps, inverse);
  inverse_norms(ctx, second, default_norm_eps, inverse + first.rows());
  stack.inverse = inverse;
  return stack;
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
