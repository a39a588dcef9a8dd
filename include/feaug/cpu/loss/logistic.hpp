// The pass over logits for pairwise sigmoid losses: every pair has its own binary cross-entropy. A
// pair's weight depends on its logit alone, so both sides' gradients come from one product of logits.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <limits>
#include <type_traits>

#include "feaug/core/function_ref.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/add_row.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/cpu/core/parallel.hpp"
#include "feaug/cpu/core/scratch_array.hpp"
#include "feaug/cpu/loss/contrast_problem.hpp"
#include "feaug/cpu/loss/logistic_terms.hpp"
#include "feaug/cpu/loss/logit_tile.hpp"
#include "feaug/cpu/loss/tile_packing.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// The columns first … last − 1, and what a pass over them computes.
struct logistic_range {
  index_t first;
  index_t last;
  bool losses;   ///< each row's logistic_sums; else they are 0
  bool rows;     ///< each row's weighted sum of columns
  bool columns;  ///< each column's weighted sum of rows
};

/// The most columns whose sums a pass may hold: 12 MiB, and at least one chunk.
template <class C>
index_t most_logistic_columns(index_t features) {
  constexpr index_t most_bytes = index_t{12} << 20;
  const index_t chunk = detail::tiling(features).chunk_cols;
  const index_t column_bytes = packed_stride(features) * static_cast<index_t>(sizeof(C));
  return std::max<index_t>(1, most_bytes / column_bytes / chunk) * chunk;
}

namespace detail {

/// Chunks of columns and their distribution over parts, which threads share. Both depend on the
/// shape only: four parts of at least 32 columns even of small batches, and at most eight parts,
/// whose sums of a block of rows fit in 4 MiB.
template <class C>
struct logistic_tiling {
  tiling tiles;
  index_t chunks;
  index_t parts;

  logistic_tiling(index_t features, index_t columns) : tiles(features) {
    const index_t quarter = padded_columns((columns + 3) / 4);
    tiles.chunk_cols = std::min(tiles.chunk_cols, std::max<index_t>(32, quarter));
    chunks = (columns + tiles.chunk_cols - 1) / tiles.chunk_cols;
    constexpr index_t most_bytes = index_t{4} << 20;
    const index_t part_bytes =
        tiles.block_rows * packed_stride(features) * static_cast<index_t>(sizeof(C));
    parts = std::min(chunks, std::clamp<index_t>(most_bytes / part_bytes, 2, 8));
  }
  /// The first column of a part.
  [[nodiscard]] index_t begin(index_t part) const {
    return part * chunks / parts * tiles.chunk_cols;
  }
};

/// One worker's tile of logits.
template <class C>
struct logistic_worker {
  logit_tile<C> tile;
  C* biases;

  /// Replaces the tile's cosines with weights; adds the rows' sums to `found` unless it is null.
  void weigh(index_t begin, index_t width, const contrast_problem<C>& problem, double bias,
             const double* row_weights, logistic_sums* found) {
    const index_t count = padded_columns(width);
    constexpr C nothing = -std::numeric_limits<C>::infinity();
    std::fill_n(biases, width, static_cast<C>(bias));
    std::fill(biases + width, biases + count, nothing);
    for (index_t i = 0; i < tile.row_count(); ++i) {
      C* const x = tile.row(i);
      std::fill(x + width, x + count, C{0});
      tile.for_each_left_out(i, [&](index_t j) {
        x[j] = C{0};
        biases[j] = nothing;
      });
      const logistic_row<C> row = {.x = x,
                                   .biases = biases,
                                   .count = count,
                                   .scale = static_cast<C>(problem.scale),
                                   .weight = static_cast<C>(row_weights[begin + i])};
      if (found != nullptr) {
        found[i] += logistic_terms<true>(tile.instructions(), row);
      } else {
        logistic_terms<false>(tile.instructions(), row);
      }
      tile.for_each_left_out(i, [&](index_t j) { biases[j] = static_cast<C>(bias); });
    }
  }
};

/// The sums of one part of the columns for a block of rows.
template <class C>
struct logistic_part {
  logistic_sums* found;
  C* sums;  ///< packed_stride apart; null: not wanted
};

}  // namespace detail

/// Called by logistic_pass for every row.
template <class C>
using logistic_finish = std::type_identity_t<
    feaug::detail::function_ref<void(index_t row, const logistic_sums& found, C* sum)>>;

/// With s_ij = problem.scale · row_i · column_j + bias and w_ij = row_weights_i · σ(s_ij), over the
/// columns of the range without a row's positive:
///     finish_row(i, logistic_sums, Σ_j w_ij column_j) for every row, if range.losses or range.rows,
///     finish_column(j, Σ_i w_ij row_i) for every column of the range, if range.columns,
/// once and in any order. They may change the sums, which have `cols` numbers; a row's is null unless
/// range.rows. Sums do not depend on the number of threads. Limited by one product (2·cols FLOP) and
/// one exponential per logit, another product for each side's sums, and with losses a polynomial.
template <class C>
void logistic_pass(cpu_context& ctx, const contrast_problem<C>& problem, double bias,
                   const double* row_weights, const logistic_range& range,
                   const logistic_finish<C>& finish_row, const sum_finish<C>& finish_column) {
  const index_t columns = range.last - range.first;
  const detail::logistic_tiling<C> split(problem.cols, columns);
  const detail::tiling& tiles = split.tiles;
  const index_t rows = problem.rows.rows();
  const index_t stride = packed_stride(problem.cols);
  const instruction_set instructions = usable(ctx.instructions);
  const index_t column_numbers = range.columns ? columns * stride : 0;
  workspace::scope scratch(ctx.workspace);
  C* const column_sums = scratch.take<C>(column_numbers);
  std::fill_n(column_sums, column_numbers, C{0});
  const scratch_array<detail::logistic_part<C>> of_parts(
      scratch, split.parts, [&]() -> detail::logistic_part<C> {
        return {.found = scratch.take<logistic_sums>(tiles.block_rows),
                .sums = range.rows ? scratch.take<C>(tiles.block_rows * stride) : nullptr};
      });
  const scratch_array<detail::logistic_worker<C>> of_workers(
      scratch, worker_count(ctx, split.parts), [&]() -> detail::logistic_worker<C> {
        return {.tile = detail::logit_tile<C>(ctx, scratch, problem, tiles),
                .biases = scratch.take<C>(padded_columns(tiles.chunk_cols))};
      });

  for (index_t begin = 0; begin < rows; begin += tiles.block_rows) {
    const index_t count = std::min(tiles.block_rows, rows - begin);
    for_each_block(ctx, split.parts, [&](index_t part, int worker) {
      detail::logistic_worker<C>& my = of_workers[worker];
      if (my.tile.row_count() == 0 || my.tile.first_row() != begin) my.tile.load_rows(begin, count);
      const auto [found, sums] = of_parts[part];
      std::fill_n(found, count, logistic_sums{});
      if (range.rows) std::fill_n(sums, count * stride, C{0});
      my.tile.for_each_chunk(
          tiles, range.first + split.begin(part),
          std::min(range.last, range.first + split.begin(part + 1)),
          [&, of_rows = sums, found_in = found](index_t first, index_t width) {
            my.weigh(begin, width, problem, bias, row_weights, range.losses ? found_in : nullptr);
            if (range.rows) my.tile.add_weighted_columns(of_rows);
            if (range.columns)
              my.tile.add_weighted_rows(column_sums + (first - range.first) * stride);
          });
    });
    if (!range.losses && !range.rows) continue;
    for_each_row_block(
        ctx, count, problem.cols * split.parts, [&](index_t first, index_t some, int) {
          for (index_t i = first; i < first + some; ++i) {
            logistic_sums found;
            C* const sum = range.rows ? of_parts[0].sums + i * stride : nullptr;
            for (index_t part = 0; part < split.parts; ++part) {
              found += of_parts[part].found[i];
              if (sum == nullptr || part == 0) continue;
              add_row<C>(instructions, of_parts[part].sums + i * stride, problem.cols, sum);
            }
            finish_row(begin + i, found, sum);
          }
        });
  }
  if (!range.columns) return;
  for_each_row_block(ctx, columns, problem.cols, [&](index_t first, index_t count, int) {
    for (index_t j = first; j < first + count; ++j)
      finish_column(range.first + j, column_sums + j * stride);
  });
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
