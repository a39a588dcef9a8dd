// Sums over the rows of a batch, one sum a feature.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>

#include "feaug/core/columns.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/parallel.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// Calls term.put(j, Σ_i term(i, j)) for every column; each sum is taken in row order.
template <class Term>
void sum_columns(cpu_context& ctx, index_t rows, index_t cols, const Term& term) {
  constexpr index_t width = 32;  // a few cache lines of every row
  for_each_block(ctx, (cols + width - 1) / width, [&](index_t block, int /*worker*/) {
    const index_t begin = block * width;
    const index_t count = std::min(width, cols - begin);
    double sums[width] = {};
    for (index_t i = 0; i < rows; ++i) {
      for (index_t j = 0; j < count; ++j) sums[j] += term(i, begin + j);
    }
    for (index_t j = 0; j < count; ++j) term.put(begin + j, sums[j]);
  });
}

/// The mean of every column, and Σ (x − mean)² over the rows. Reads x three times.
template <element T>
void column_moments(cpu_context& ctx, const row_elements<T>& of, double* mean, double* squares) {
  constexpr auto host = memory_space::host;
  const index_t rows = of.x.rows();
  const index_t cols = of.x.cols();
  sum_columns(ctx, rows, cols, feaug::detail::column_mean<T, host>{of, mean});
  sum_columns(ctx, rows, cols, feaug::detail::refined_mean<T, host>{of, mean});
  sum_columns(ctx, rows, cols, feaug::detail::squared_deviation<T, host>{of, mean, squares});
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
