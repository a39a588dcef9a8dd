// CPU implementation of update_covariance: running mean, and covariance or variances, of the
// features.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>

#include "feaug/augment/running_covariance.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/elementary.hpp"
#include "feaug/core/finite.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/cholesky.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/parallel.hpp"
#include "feaug/cpu/core/scaled_rows.hpp"
#include "feaug/cpu/core/workspace.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cpu {

inline constexpr index_t covariance_columns = 64;  ///< columns that a worker sums at once

/// Calls work(first column, columns) for blocks of columns, in parallel.
template <class Work>
void for_each_column_block(cpu_context& ctx, index_t cols, const Work& work) {
  for_each_block(ctx, (cols + covariance_columns - 1) / covariance_columns,
                 [&](index_t block, int) {
                   const index_t first = block * covariance_columns;
                   work(first, std::min(covariance_columns, cols - first));
                 });
}

/// sums[j] = Σ_i term(x_ij, j), in order of rows.
template <element T, class Term>
void column_sums(cpu_context& ctx, const matrix_view<const T>& x, const Term& term, double* sums) {
  for_each_column_block(ctx, x.cols(), [&](index_t first, index_t count) {
    std::fill_n(sums + first, count, 0.0);
    for (index_t i = 0; i < x.rows(); ++i) {
      const T* row = x.row(i);
      for (index_t j = first; j < first + count; ++j)
        sums[j] += term(static_cast<double>(load(row[j])), j);
    }
  });
}

template <element T>
void column_means(cpu_context& ctx, const matrix_view<const T>& x, double* means) {
  column_sums(
      ctx, x, [](double value, index_t) { return value; }, means);
  for (index_t j = 0; j < x.cols(); ++j) means[j] /= static_cast<double>(x.rows());
}

inline double mean_of(const double* values, index_t stride, index_t count) {
  double sum = 0;
  for (index_t j = 0; j < count; ++j) sum += values[j * stride];
  return sum / static_cast<double>(count);
}

}  // namespace cpu

template <>
struct detail::running_covariance_on<cpu_context> {
  /// Limited by FLOP: N·D²/2 multiply-adds for Σ and D³/6 for its factor. Scratch: 35·D numbers and
  /// centred rows of D, at most 4 MiB of rows.
  template <element T>
  static void update(cpu_context& ctx, const running_covariance<>& state,
                     const matrix_view<const T>& x, const covariance_options& options) {
    const index_t rows = x.rows();
    const index_t cols = x.cols();
    const detail::batch_share share(options.momentum.has_value(), options.momentum.value_or(0),
                                    *state.count, rows);
    workspace::scope scope(ctx.workspace);
    auto* means = scope.take<double>(cols);
    auto* shift = scope.take<double>(cols);
    cpu::column_means(ctx, x, means);
    for (index_t j = 0; j < cols; ++j)
      shift[j] = feaug::detail::is_equal(share.weight, 1) ? 0 : means[j] - state.mean[j];

    // Rows are centred in chunks of at most 4 MiB; then each block of rows of Σ adds its products,
    // only in the lower half.
    constexpr index_t chunk_elements = index_t{1} << 19;
    const index_t chunk = std::clamp<index_t>(chunk_elements / cols, 1, rows);
    auto* centred = scope.take<double>(chunk * cols);
    const index_t blocks = (cols + 7) / 8;
    for (index_t begin = 0; begin < rows; begin += chunk) {
      const index_t count = std::min(chunk, rows - begin);
      cpu::for_each_row_block(ctx, count, cols, [&](index_t first, index_t some, int) {
        for (index_t i = first; i < first + some; ++i) {
          for (index_t j = 0; j < cols; ++j)
            centred[i * cols + j] = static_cast<double>(load(x(begin + i, j))) - means[j];
        }
      });
      cpu::for_each_block(ctx, blocks, [&](index_t block, int) {
        for (index_t i = 8 * block; i < std::min(8 * block + 8, cols); ++i) {
          double* sums = state.factor.row(i);  // holds the batch's sums until the end
          if (begin == 0) std::fill_n(sums, i + 1, 0.0);
          cpu::add_scaled_rows(sums, i + 1, centred + i, cols, centred, cols, count);
          if (begin + count < rows) continue;
          for (index_t j = 0; j <= i; ++j) {
            double& element = state.covariance(i, j);
            element =
                share.covariance(element, sums[j] / static_cast<double>(rows), shift[i], shift[j]);
          }
        }
      });
    }
    for (index_t i = 0; i < cols; ++i) {
      for (index_t j = i + 1; j < cols; ++j) state.covariance(i, j) = state.covariance(j, i);
    }
    for (index_t j = 0; j < cols; ++j) state.mean[j] = share.mean(state.mean[j], means[j]);
    *state.count += rows;
    const double variance =
        cpu::mean_of(state.covariance.data, state.covariance.row_stride() + 1, cols);
    cpu::cholesky(ctx, state.covariance, options.ridge * variance, state.factor);
  }

  /// Scratch: two numbers a column.
  template <element T>
  static void update(cpu_context& ctx, const running_variance<>& state,
                     const matrix_view<const T>& x, const covariance_options& options) {
    const index_t rows = x.rows();
    const index_t cols = x.cols();
    const detail::batch_share share(options.momentum.has_value(), options.momentum.value_or(0),
                                    *state.count, rows);
    workspace::scope scope(ctx.workspace);
    auto* means = scope.take<double>(cols);
    auto* squares = scope.take<double>(cols);
    cpu::column_means(ctx, x, means);
    cpu::column_sums(
        ctx, x,
        [means](double value, index_t j) { return (value - means[j]) * (value - means[j]); },
        squares);
    for (index_t j = 0; j < cols; ++j) {
      const double shift = feaug::detail::is_equal(share.weight, 1) ? 0 : means[j] - state.mean[j];
      state.variance[j] =
          share.covariance(state.variance[j], squares[j] / static_cast<double>(rows), shift, shift);
      state.mean[j] = share.mean(state.mean[j], means[j]);
    }
    *state.count += rows;
    const double ridge =
        options.ridge * cpu::mean_of(state.variance.data, state.variance.strides[0], cols);
    for (index_t j = 0; j < cols; ++j)
      state.deviation[j] = feaug::detail::sqrt(state.variance[j] + ridge);
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
