// Tiled contrast of two views in which every tile of logits serves both of its sides: one product
// and one exponential per pair for the sums of rows and columns. If all rows are contrasted with all
// rows, a tile below the diagonal equals the one above and is not computed.
//
// The gradients take two more products per pair if the exponentials of all pairs are kept (small
// batches), otherwise three more.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <type_traits>

#include "feaug/core/finite.hpp"
#include "feaug/core/function_ref.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/add_row.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/cpu/core/lanes.hpp"
#include "feaug/cpu/core/parallel.hpp"
#include "feaug/cpu/core/scratch_array.hpp"
#include "feaug/cpu/core/tile_product.hpp"
#include "feaug/cpu/loss/contrast_problem.hpp"
#include "feaug/cpu/loss/kept_tiles.hpp"
#include "feaug/cpu/loss/logit_tile.hpp"
#include "feaug/cpu/loss/logit_weights.hpp"
#include "feaug/cpu/loss/meeting_tile.hpp"
#include "feaug/cpu/loss/meetings.hpp"
#include "feaug/cpu/loss/tile_packing.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

namespace detail {

/// A worker's tile and two scratch arrays.
template <class C>
struct meeting_worker {
  meeting_tile<C> tile;
  C* of_rows;
  C* of_columns;
};

/// One for each of `tasks` tasks that can run at the same time, with `numbers` for a block's rows,
/// and as many for its columns.
template <class C>
scratch_array<meeting_worker<C>> meeting_workers(cpu_context& ctx, workspace::scope& scratch,
                                                 const paired_contrast<C>& problem,
                                                 const kept_tiles<C>& kept, index_t tasks,
                                                 index_t numbers) {
  return {scratch, worker_count(ctx, tasks), [&]() -> meeting_worker<C> {
            return {.tile = meeting_tile<C>(ctx, scratch, problem, kept),
                    .of_rows = scratch.take<C>(numbers),
                    .of_columns = scratch.take<C>(numbers)};
          }};
}

}  // namespace detail

/// Computes kept's sums, and its exponentials if they are kept; with the sums of exponential · cosine
/// if `with_cosines`. Limited by one product (2·cols FLOP) and one exponential per pair of rows.
/// Scratch: three blocks of rows per worker, or a strip of logits if packed rows are kept.
template <class C>
void paired_sums(cpu_context& ctx, const paired_contrast<C>& problem, bool with_cosines,
                 kept_tiles<C>& kept) {
  using detail::exponential_sums;
  const index_t blocks = kept.blocks().count;
  const index_t width = kept.blocks().size;
  const index_t column_side = problem.other(0);
  const index_t tasks =
      kept.has_parts() ? detail::meeting_count(blocks, problem.is_one_side) : blocks;
  workspace::scope scratch(ctx.workspace);
  const auto workers = detail::meeting_workers(ctx, scratch, problem, kept, tasks, 2 * width);
  kept.clear_sums();
  const auto add_with_cosines = [&](const logit_row<C>& row, instruction_set instructions, C* copy,
                                    C* of_columns) {
    std::copy_n(row.x, row.count, copy);
    const double sum = exponentials_of<C>(instructions, row);
    for_each_in_lanes(row.count, [x = row.x, copy, of_columns, width](index_t j) {
      const C of_cosine = x[j] * copy[j];
      of_columns[j] += x[j];
      of_columns[width + j] += feaug::detail::is_equal(x[j], C{0}) ? C{0} : of_cosine;
    });
    return exponential_sums{sum, detail::sum_of_weighted(row.x, copy, row.count)};
  };
  const auto add_block = [&](detail::meeting_worker<C>& my, index_t first, index_t second) {
    detail::meeting_tile<C>& tile = my.tile;
    const instruction_set instructions = tile.instructions();
    exponential_sums* const of_rows = kept.sums(0, second) + tile.first_row();
    tile.load_columns(second);
    std::fill_n(my.of_columns, 2 * width, C{0});
    tile.for_each_strip(kept.exponentials(first, second), [&](index_t at, index_t count) {
      for (index_t i = 0; i < count; ++i) {
        const logit_row<C> row = tile.logits(i);
        exponential_sums& sum = of_rows[at + i];
        if (with_cosines) {
          const auto added = add_with_cosines(row, instructions, my.of_rows, my.of_columns);
          sum.sum += added.sum;
          sum.cosine_sum += added.cosine_sum;
        } else {
          sum.sum += add_exponentials<C>(instructions, row, my.of_columns);
        }
      }
    });
    if (tile.is_diagonal()) return;  // its columns are its rows
    exponential_sums* const of_columns = kept.sums(column_side, first) + tile.first_column();
    for (index_t j = 0; j < tile.column_count(); ++j) {
      of_columns[j].sum += static_cast<double>(my.of_columns[j]);
      of_columns[j].cosine_sum += static_cast<double>(my.of_columns[width + j]);
    }
  };
  const auto meet = [&](const detail::meeting& pair, int worker) {
    detail::meeting_worker<C>& my = workers[worker];
    my.tile.load_rows(pair.first);
    for (index_t second = 0; second < pair.seconds; ++second)
      add_block(my, pair.first, pair.second + second);
  };
  if (kept.has_parts()) {
    detail::for_each_meeting_at_once(ctx, blocks, problem.is_one_side, meet);
  } else {
    detail::for_each_meeting_in_rounds(ctx, blocks, problem.is_one_side, meet);
  }
}

/// Weights of pairs in gradients: exp(s_ij − shift) · (of_a_i + of_b_j). For one side, of_b is of_a.
/// Both have padded_columns(rows) elements.
template <class C>
struct paired_weights {
  const C* of_a;
  const C* of_b;
};

/// Returns the row to which row i's gradient is added.
template <class C>
using row_destination = std::type_identity_t<feaug::detail::function_ref<C*(index_t i)>>;

/// Adds Σ_j exp(s_ij − shift) (u_i + v_j) b_j to the gradient of every row of a, and likewise for
/// every row of b; u and v are weights.of_a and of_b. For one side, its rows take both roles. Rows
/// of the destinations have `cols` elements. Limited by three products (6·cols FLOP) and one
/// exponential per pair of rows. Scratch: five blocks of rows per worker, two if packed rows are
/// kept.
template <class C>
void paired_gradients(cpu_context& ctx, const paired_contrast<C>& problem,
                      const kept_tiles<C>& kept, const paired_weights<C>& weights,
                      const row_destination<C>& row_of_a, const row_destination<C>& row_of_b) {
  const index_t stride = packed_stride(problem.cols);
  const index_t blocks = kept.blocks().count;
  workspace::scope scratch(ctx.workspace);
  const auto workers =
      detail::meeting_workers(ctx, scratch, problem, kept, blocks, kept.blocks().size * stride);
  const auto add = [&, instructions = usable(ctx.instructions)](const C* from, index_t count,
                                                                const auto& row_at) {
    for (index_t i = 0; i < count; ++i)
      add_row<C>(instructions, from + i * stride, problem.cols, row_at(i));
  };
  detail::for_each_meeting_in_rounds(
      ctx, blocks, problem.is_one_side, [&](const detail::meeting& pair, int worker) {
        auto& my = workers[worker];
        detail::meeting_tile<C>& tile = my.tile;
        tile.load_rows(pair.first);
        std::fill_n(my.of_rows, tile.row_count() * stride, C{0});
        for (index_t second = 0; second < pair.seconds; ++second) {
          tile.load_columns(pair.second + second);
          std::fill_n(my.of_columns, tile.column_count() * stride, C{0});
          tile.for_each_strip(nullptr, [&](index_t first, index_t count) {
            for (index_t i = 0; i < count; ++i) {
              const C own = weights.of_a[tile.first_row() + first + i];
              weigh<C>(tile.instructions(), tile.logits(i), own,
                       weights.of_b + tile.first_column());
            }
            tile.add_columns(count, my.of_rows + first * stride);
            if (!tile.is_diagonal()) tile.add_rows(first, count, my.of_columns);
          });
          if (tile.is_diagonal()) continue;
          add(my.of_columns, tile.column_count(),
              [&](index_t j) { return row_of_b(tile.first_column() + j); });
        }
        add(my.of_rows, tile.row_count(),
            [&](index_t i) { return row_of_a(tile.first_row() + i); });
      });
}

/// The same sums from kept exponentials. A row's number is i for a's row i, and rows + j for b's row
/// j. Calls finish(number, sum) for the numbers begin … end − 1, once and in any order; finish may
/// change sum. A block's sums are computed by one worker, in the order of the other blocks. Limited
/// by two products (4·cols FLOP) per pair of rows. Scratch: two blocks of rows per worker.
template <class C>
void kept_gradients(cpu_context& ctx, const paired_contrast<C>& problem, const kept_tiles<C>& kept,
                    const paired_weights<C>& weights, index_t begin, index_t end,
                    const sum_finish<C>& finish) {
  const row_blocks& blocks = kept.blocks();
  const index_t stride = packed_stride(problem.cols);
  const index_t tasks = problem.sides() * blocks.count;
  workspace::scope scratch(ctx.workspace);
  const auto workers =
      detail::meeting_workers(ctx, scratch, problem, kept, tasks, blocks.size * stride);
  for_each_block(ctx, tasks, [&](index_t task, int worker) {
    const bool is_b = task >= blocks.count;
    const index_t own = task % blocks.count;
    const index_t first_number = (is_b ? blocks.rows : 0) + own * blocks.size;
    const index_t count = blocks.rows_in(own);
    if (first_number + count <= begin || first_number >= end) return;
    auto& [tile, sums, unused] = workers[worker];
    std::fill_n(sums, count * stride, C{0});
    for (index_t other = 0; other < blocks.count; ++other) {
      // Whether the block's rows are the columns of the kept tile.
      const bool is_second = is_b || (problem.is_one_side && other < own);
      const index_t first = is_second ? other : own;
      const index_t second = is_second ? own : other;
      tile.load_rows(first);
      tile.load_columns(second);
      tile.for_each_kept_strip(kept.exponentials(first, second), weights.of_a, weights.of_b,
                               [&, &t = tile, to = sums](index_t at, index_t some) {
                                 if (is_second) {
                                   t.add_rows(at, some, to);
                                 } else {
                                   t.add_columns(some, to + at * stride);
                                 }
                               });
    }
    for (index_t i = 0; i < count; ++i) {
      const index_t number = first_number + i;
      if (number >= begin && number < end) finish(number, sums + i * stride);
    }
  });
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
