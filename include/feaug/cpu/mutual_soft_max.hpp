// The soft-max of every row over the columns and that of every column over the rows, from one
// product and one exponential a logit.
#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <concepts>
#include <limits>

#include "feaug/core/context.hpp"
#include "feaug/core/element.hpp"
#include "feaug/cpu/contrast.hpp"
#include "feaug/cpu/exponential.hpp"
#include "feaug/cpu/lanes.hpp"
#include "feaug/cpu/parallel.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// Whether exp s can be taken as it is, without a shift, for cosines: |s| ≤ scale then, and neither
/// a term nor a sum of terms leaves C's normal numbers. A shift would have to be known for rows and
/// columns before the product.
template <class C>
bool needs_no_shift(double scale) {
  return scale <= (std::same_as<C, float> ? 80.0 : 600.0);
}

namespace detail {

// At 32768 columns of floats a band is still 32 blocks of rows to share out.
inline constexpr index_t column_sum_bytes = 1 << 22;

/// Sums over rows for every column, kept apart by block of rows and added up in their order.
template <class C>
struct column_sums {
  index_t columns;
  index_t band;  ///< blocks of rows between two additions; by shape only
  C* partial;
  double* total;

  column_sums(workspace::scope& scratch, index_t blocks, index_t width, index_t most_bytes)
      : columns(width),
        band(std::clamp<index_t>(
            most_bytes / std::max<index_t>(1, width * static_cast<index_t>(sizeof(C))), 1, blocks)),
        partial(scratch.take<C>(band * width)),
        total(scratch.take_filled<double>(width, 0.0)) {}

  [[nodiscard]] C* of(index_t block_in_band) const { return partial + block_in_band * columns; }

  void add_band(cpu_context& ctx, index_t blocks) {
    for_each_row_block(ctx, columns, blocks, [&](index_t begin, index_t count, int) {
      for (index_t block = 0; block < blocks; ++block) {
        const C* sums = of(block);
        for (index_t j = begin; j < begin + count; ++j) total[j] += static_cast<double>(sums[j]);
      }
    });
  }
};

inline row_statistics statistics_of(double sum, double cosine_sum, double positive_cosine) {
  return {.log_sum = sum == 0 ? -std::numeric_limits<double>::infinity() : std::log(sum),
          .positive_cosine = positive_cosine,
          .mean_cosine = sum == 0 ? 0.0 : cosine_sum / sum};
}

}  // namespace detail

/// finish(side, i, row_statistics) for every row i of side 0 and every column i of side 1, as two
/// calls of soft_max_pass would give them, each once and in any order. As many rows as columns,
/// each other's positives; cosines, with a scale that needs_no_shift. Scratch besides the tiles: at
/// most 4 MiB (8 with the mean cosines) or one row, and 8 bytes a column (16).
template <element T, class Finish>
void mutual_soft_max_pass(cpu_context& ctx, const contrast<T>& problem, bool with_mean_cosine,
                          const Finish& finish, index_t most_bytes = detail::column_sum_bytes) {
  using C = compute_t<T>;
  const index_t size = problem.rows.rows();
  const detail::tiling cut(size, problem.cols);
  const index_t blocks = (size + cut.block_rows - 1) / cut.block_rows;
  const auto scale = static_cast<C>(problem.scale);
  workspace::scope scratch(ctx.workspace);
  detail::column_sums<C> sums(scratch, blocks, size, most_bytes);
  detail::column_sums<C> cosine_sums(scratch, blocks, with_mean_cosine ? size : 0, most_bytes);
  struct worker_scratch {
    detail::logit_tile<T> tile;
    double* row_sums;
    double* row_cosines;
    C* cosines;
  };
  const auto positive_cosine = [&](index_t i) {
    return dot(problem.rows, i, problem.positives, i, problem.cols);
  };

  const auto add_chunk = [&](worker_scratch& my, index_t i, index_t block, index_t first,
                             index_t width) {
    C* const terms = my.tile.row(i);
    if (with_mean_cosine) std::copy_n(terms, width, my.cosines);
    exponentials(terms, width, scale, [](index_t) { return C{0}; });
    my.tile.for_each_left_out(i, [&](index_t j) { terms[j] = C{0}; });
    my.row_sums[i] += sum_of(terms, width);
    C* const of_columns = sums.of(block) + first;
    for (index_t j = 0; j < width; ++j) of_columns[j] += terms[j];
    if (!with_mean_cosine) return;
    for (index_t j = 0; j < width; ++j) my.cosines[j] *= terms[j];
    my.row_cosines[i] += sum_of(my.cosines, width);
    C* const cosines_of_columns = cosine_sums.of(block) + first;
    for (index_t j = 0; j < width; ++j) cosines_of_columns[j] += my.cosines[j];
  };

  for (index_t band = 0; band < blocks; band += sums.band) {
    const index_t first_row = band * cut.block_rows;
    const index_t band_rows = std::min(sums.band * cut.block_rows, size - first_row);
    std::fill_n(sums.partial, sums.band * sums.columns, C{0});
    std::fill_n(cosine_sums.partial, cosine_sums.band * cosine_sums.columns, C{0});
    workspace::scope tiles(ctx.workspace);
    const auto make = [&] {
      return worker_scratch{.tile = detail::logit_tile<T>(tiles, problem, cut),
                            .row_sums = tiles.take<double>(cut.block_rows),
                            .row_cosines = tiles.take<double>(cut.block_rows),
                            .cosines = with_mean_cosine ? tiles.take<C>(cut.chunk_cols) : nullptr};
    };
    detail::for_each_tile_row(
        ctx, band_rows, cut, make, [&](index_t begin, index_t count, worker_scratch& my) {
          my.tile.load_rows(first_row + begin, count);
          std::fill_n(my.row_sums, count, 0.0);
          std::fill_n(my.row_cosines, count, 0.0);
          my.tile.for_each_chunk(cut, [&](index_t first, index_t width) {
            for (index_t i = 0; i < count; ++i)
              add_chunk(my, i, begin / cut.block_rows, first, width);
          });
          for (index_t i = 0; i < count; ++i) {
            const index_t row = first_row + begin + i;
            finish(0, row,
                   detail::statistics_of(my.row_sums[i], my.row_cosines[i], positive_cosine(row)));
          }
        });
    const index_t band_blocks = (band_rows + cut.block_rows - 1) / cut.block_rows;
    sums.add_band(ctx, band_blocks);
    if (with_mean_cosine) cosine_sums.add_band(ctx, band_blocks);
  }
  for_each_row_block(ctx, size, problem.cols, [&](index_t begin, index_t count, int) {
    for (index_t j = begin; j < begin + count; ++j) {
      const double cosine_sum = with_mean_cosine ? cosine_sums.total[j] : 0.0;
      finish(1, j, detail::statistics_of(sums.total[j], cosine_sum, positive_cosine(j)));
    }
  });
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu
