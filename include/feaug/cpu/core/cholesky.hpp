// CPU implementation of the Cholesky factorisation of a covariance matrix.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>

#include "feaug/core/cholesky_pivot.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/parallel.hpp"
#include "feaug/cpu/core/scaled_rows.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// lower·lowerᵀ = matrix + ridge·(identity), zeros above the diagonal. Only the lower half of
/// `matrix` is read. Works in panels of 32 columns: each panel is factored in place and its product
/// is then subtracted from the columns to its right, rows in parallel. About size³/3 FLOP, nearly
/// all in that subtraction. Scratch: 33 numbers a row.
inline void cholesky(cpu_context& ctx, const matrix_view<double>& matrix, double ridge,
                     const matrix_view<double>& lower) {
  constexpr index_t panel = 32;
  constexpr index_t rows_a_block = 16;
  const index_t size = matrix.rows();
  workspace::scope scope(ctx.workspace);
  auto* whole = scope.take<double>(size);  // the diagonal
  auto* transposed = scope.take<double>(panel * size);
  for_each_row_block(ctx, size, size, [&](index_t begin, index_t count, int) {
    for (index_t i = begin; i < begin + count; ++i) {
      double* row = lower.row(i);
      std::copy_n(matrix.row(i), i + 1, row);
      std::fill(row + i + 1, row + size, 0.0);
      row[i] += ridge;
      whole[i] = row[i];
    }
  });
  for (index_t first = 0; first < size; first += panel) {
    const index_t width = std::min(panel, size - first);
    const index_t below = first + width;
    const index_t blocks = (size - below + rows_a_block - 1) / rows_a_block;
    double inverse[panel];
    const auto eliminate = [&](double* row, index_t columns) {
      for (index_t j = 0; j < columns; ++j) {
        double rest = row[first + j];
        for (index_t t = 0; t < j; ++t) rest -= row[first + t] * lower(first + j, first + t);
        row[first + j] = rest * inverse[j];
      }
    };
    for (index_t j = 0; j < width; ++j) {
      double* row = lower.row(first + j);
      eliminate(row, j);
      double rest = row[first + j];
      for (index_t t = 0; t < j; ++t) rest -= row[first + t] * row[first + t];
      const feaug::detail::cholesky_pivot pivot =
          feaug::detail::pivot_of(rest, whole[first + j], size);
      row[first + j] = pivot.root;
      inverse[j] = pivot.inverse;
    }
    for_each_block(ctx, blocks, [&](index_t block, int) {
      const index_t begin = below + block * rows_a_block;
      for (index_t i = begin; i < std::min(begin + rows_a_block, size); ++i) {
        double* row = lower.row(i);
        eliminate(row, width);
        for (index_t t = 0; t < width; ++t) transposed[t * size + i] = -row[first + t];
      }
    });
    for_each_block(ctx, blocks, [&](index_t block, int) {
      const index_t begin = below + block * rows_a_block;
      for (index_t i = begin; i < std::min(begin + rows_a_block, size); ++i) {
        double* row = lower.row(i);
        add_scaled_rows(row + below, i + 1 - below, row + first, 1, transposed + below, size,
                        width);
      }
    });
  }
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
