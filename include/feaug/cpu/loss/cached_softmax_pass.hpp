// Both sides' gradients from one product of logits: a block of rows stores its exponentials until
// its sums are known, and then reuses them for the columns' gradient. Three matrix products instead
// of the four of two passes.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>

#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/cpu/core/parallel.hpp"
#include "feaug/cpu/core/product_pieces.hpp"
#include "feaug/cpu/core/row_arithmetic.hpp"
#include "feaug/cpu/core/scratch_array.hpp"
#include "feaug/cpu/core/tile_product.hpp"
#include "feaug/cpu/loss/contrast_problem.hpp"
#include "feaug/cpu/loss/fixed_max_softmax.hpp"
#include "feaug/cpu/loss/logit_tile.hpp"
#include "feaug/cpu/loss/logit_weights.hpp"
#include "feaug/cpu/loss/tile_packing.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

namespace detail {

/// Scratch of cached_softmax_pass: a block's exponentials, and the columns' sums.
template <class C>
struct cached_softmax_size {
  static constexpr index_t most_parts = 8;  ///< parts of the columns, distributed over threads

  tiling tiles;
  index_t stride;
  index_t chunks;
  index_t parts;
  index_t chunk_numbers;  ///< numbers stored per block and chunk
  index_t column_numbers;

  explicit cached_softmax_size(const contrast_problem<C>& problem)
      : tiles(problem.cols),
        stride(packed_stride(problem.cols)),
        chunks((problem.columns.rows() + tiles.chunk_cols - 1) / tiles.chunk_cols),
        parts(std::min(most_parts, chunks)),
        chunk_numbers(tiles.block_rows * padded_columns(tiles.chunk_cols)),
        column_numbers(chunks * tiles.chunk_cols * stride) {}

  [[nodiscard]] index_t bytes() const {
    return (chunks * chunk_numbers + column_numbers + parts * tiles.block_rows * stride) *
           static_cast<index_t>(sizeof(C));
  }
};

}  // namespace detail

/// Whether cached_softmax_pass is valid and worthwhile: one shift fits all logits, there are ≥ 128
/// columns, and the context permits the scratch memory.
template <class C>
bool can_keep_logits(const cpu_context& ctx, const contrast_problem<C>& problem) {
  constexpr index_t fewest_columns = 128;
  return !problem.labels.given() && detail::has_fixed_max(problem) &&
         problem.columns.rows() >= fewest_columns &&
         detail::cached_softmax_size<C>(problem).bytes() <= ctx.most_kept_bytes;
}

/// softmax_pass, and finish_column(j, sum_j) for every column, once and in any order, with
///     sum_j = Σ_i coefficient_i · exp(s_ij − log_sum_exp_i) row_i
/// over the rows that do not exclude column j; finish_column may change sum_j. A row's entries of
/// `weights` are read only after `finish` was called for the row. Limited by three products (6·cols
/// FLOP; two without the mean) and one exponential per logit.
template <class C>
void cached_softmax_pass(cpu_context& ctx, const contrast_problem<C>& problem, bool with_mean,
                         bool with_mean_cosine, const softmax_weights& weights,
                         const row_finish<C>& finish, const sum_finish<C>& finish_column) {
  const detail::cached_softmax_size<C> size(problem);
  const detail::tiling& tiles = size.tiles;
  const index_t rows = problem.rows.rows();
  const index_t columns = problem.columns.rows();
  const auto scale = static_cast<C>(problem.scale);
  const C shift = fixed_max<C>(problem.scale);
  const instruction_set instructions = usable(ctx.instructions);
  workspace::scope scratch(ctx.workspace);
  C* const kept = scratch.take<C>(size.chunks * size.chunk_numbers);
  C* const column_sums = scratch.take<C>(size.column_numbers);
  C* const weighted_rows = scratch.take<C>(packed_size(tiles.block_rows, problem.cols));
  std::fill_n(column_sums, size.column_numbers, C{0});
  const auto of_parts = detail::part_sums_of<C>(scratch, size.parts, tiles, size.stride, with_mean);
  const auto of_workers =
      detail::softmax_workers(ctx, scratch, problem, tiles, size.parts, with_mean_cosine);
  const scratch_array<product_pieces> of_chunks(scratch, worker_count(ctx, size.chunks), [&] {
    return take_pieces<C>(ctx, scratch, problem.rows.significant_bits());
  });
  const auto width_of = [&](index_t chunk) {
    return std::min(tiles.chunk_cols, columns - chunk * tiles.chunk_cols);
  };

  for (index_t begin = 0; begin < rows; begin += tiles.block_rows) {
    const index_t count = std::min(tiles.block_rows, rows - begin);
    // Exponentials, their sums and the rows' weighted sums of columns.
    for_each_block(ctx, size.parts, [&](index_t part, int worker) {
      auto& [tile, cosines] = of_workers[worker];
      if (tile.row_count() == 0 || tile.first_row() != begin) tile.load_rows(begin, count);
      const detail::part_sums<C>& my = of_parts[part];
      std::fill_n(my.sums, count, detail::exponential_sums{});
      if (with_mean) std::fill_n(my.means, count * size.stride, C{0});
      for (index_t chunk = part * size.chunks / size.parts;
           chunk < (part + 1) * size.chunks / size.parts; ++chunk) {
        tile.keep_products_in(kept + chunk * size.chunk_numbers);
        tile.multiply(chunk * tiles.chunk_cols, width_of(chunk));
        for (index_t i = 0; i < count; ++i) {
          const detail::exponential_sums row = tile.take_exponentials(i, scale, shift, cosines);
          my.sums[i].sum += row.sum;
          my.sums[i].cosine_sum += row.cosine_sum;
        }
        if (with_mean) tile.add_weighted_columns(my.means);
      }
    });
    // The sums are now known: scale the packed rows by their weights.
    problem.rows.pack(instructions, begin, count, problem.cols, weighted_rows);
    for_each_row_block(ctx, count, problem.cols, [&](index_t first, index_t some, int) {
      for (index_t i = first; i < first + some; ++i) {
        detail::finish_fixed_row(instructions, problem, begin, i, of_parts.data(), size.parts,
                                 finish);
        const C weight = weight_with_shift(weights, begin + i, shift);
        C* const row = weighted_rows + i * size.stride;
        scale_row(instructions, row, problem.cols, static_cast<double>(weight), row);
      }
    });
    // The columns' weighted sums of rows.
    for_each_block(ctx, size.chunks, [&](index_t chunk, int worker) {
      const index_t width = width_of(chunk);
      add_weighted_packed_rows(instructions,
                               {.a = kept + chunk * size.chunk_numbers,
                                .a_row = 1,
                                .a_depth = padded_columns(width),
                                .rows = width,
                                .depth = count},
                               weighted_rows, problem.cols,
                               column_sums + chunk * tiles.chunk_cols * size.stride,
                               of_chunks[worker].of_weights);
    });
  }
  for_each_row_block(ctx, columns, problem.cols, [&](index_t first, index_t count, int) {
    for (index_t j = first; j < first + count; ++j) finish_column(j, column_sums + j * size.stride);
  });
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
