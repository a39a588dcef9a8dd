// The softmax pass for logits that are small enough for one common shift: nothing is rescaled, and
// partial sums are simply added.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <limits>

#include "feaug/core/elementary.hpp"
#include "feaug/core/finite.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/add_row.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/cpu/core/parallel.hpp"
#include "feaug/cpu/core/row_arithmetic.hpp"
#include "feaug/cpu/core/scratch_array.hpp"
#include "feaug/cpu/loss/contrast_problem.hpp"
#include "feaug/cpu/loss/logit_tile.hpp"
#include "feaug/cpu/loss/logit_weights.hpp"
#include "feaug/cpu/loss/tile_packing.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu::detail {

/// log Σ exp s from Σ exp(s − shift); −∞ for an empty sum.
inline double log_of_sum(double sum, double shift) {
  return feaug::detail::is_equal(sum, 0) ? -std::numeric_limits<double>::infinity()
                                         : shift + feaug::detail::log(sum);
}

/// Whether all logits are cosines times a scale that is small enough for a common shift.
template <class C>
bool has_fixed_max(const contrast_problem<C>& problem) {
  return problem.rows.is_normalized() && problem.columns.is_normalized() &&
         can_fix_shift<C>(problem.scale);
}

/// Splits the columns into parts, in addition to the blocks of rows, until there are enough tasks:
/// few queries against many keys then use all threads, and each key is read once for many queries.
/// Depends on the shape only.
struct parts_of_columns {
  index_t parts;
  index_t columns;  ///< columns per part; a multiple of a chunk

  parts_of_columns(const tiling& tiles, index_t blocks, index_t all_columns, index_t block_bytes) {
    // Every part needs its own sums. Up to 16 tasks are made if parts have at least 1024 columns,
    // and up to 4 tasks if parts have at least 128.
    constexpr index_t most_tasks = 16;
    constexpr index_t long_part = 1024;
    constexpr index_t some_tasks = 4;
    constexpr index_t short_part = 128;
    constexpr index_t most_bytes = 1 << 22;  // for the sums of all parts
    const auto until = [&](index_t tasks, index_t part) {
      return std::min((tasks + blocks - 1) / blocks, all_columns / part);
    };
    parts = std::clamp<index_t>(
        std::min(std::max(until(most_tasks, long_part), until(some_tasks, short_part)),
                 most_bytes / std::max<index_t>(1, blocks * block_bytes)),
        1, most_tasks);
    const index_t chunks = (all_columns + tiles.chunk_cols - 1) / tiles.chunk_cols;
    columns = (chunks + parts - 1) / parts * tiles.chunk_cols;
  }
};

/// The sums of one part of the columns for a block of rows.
template <class C>
struct part_sums {
  exponential_sums* sums;
  C* means;  ///< Σ exp(s_ij − shift) column_j, packed_stride apart; null: not wanted
};

/// `count` of them, for a block's rows each.
template <class C>
scratch_array<part_sums<C>> part_sums_of(workspace::scope& scratch, index_t count,
                                         const tiling& tiles, index_t stride, bool with_mean) {
  return {scratch, count, [&]() -> part_sums<C> {
            return {.sums = scratch.take<exponential_sums>(tiles.block_rows),
                    .means = with_mean ? scratch.take<C>(tiles.block_rows * stride) : nullptr};
          }};
}

/// A worker's tile, and its cosines if they are wanted.
template <class C>
struct softmax_worker {
  logit_tile<C> tile;
  C* cosines;  ///< null: not wanted
};

template <class C>
scratch_array<softmax_worker<C>> softmax_workers(cpu_context& ctx, workspace::scope& scratch,
                                                 const contrast_problem<C>& problem,
                                                 const tiling& tiles, index_t tasks,
                                                 bool with_cosines) {
  return {scratch, worker_count(ctx, tasks), [&]() -> softmax_worker<C> {
            C* const cosines =
                with_cosines ? scratch.take<C>(padded_columns(tiles.chunk_cols)) : nullptr;
            return {.tile = logit_tile<C>(ctx, scratch, problem, tiles), .cosines = cosines};
          }};
}

/// Adds the parts of a block, whose rows begin at `begin`, in order, and finishes row begin + i as
/// softmax_pass does.
template <class C>
void finish_fixed_row(instruction_set instructions, const contrast_problem<C>& problem,
                      index_t begin, index_t i, const part_sums<C>* of, index_t parts,
                      const row_finish<C>& finish) {
  const index_t stride = packed_stride(problem.cols);
  exponential_sums all;
  C* const mean = of[0].means == nullptr ? nullptr : of[0].means + i * stride;
  for (index_t part = 0; part < parts; ++part) {
    all.sum += of[part].sums[i].sum;
    all.cosine_sum += of[part].sums[i].cosine_sum;
    if (mean == nullptr || part == 0) continue;
    add_row<C>(instructions, of[part].means + i * stride, problem.cols, mean);
  }
  const double share = feaug::detail::is_equal(all.sum, 0) ? 0.0 : 1.0 / all.sum;
  if (mean != nullptr) scale_row(instructions, mean, problem.cols, share, mean);
  const index_t row = begin + i;
  row_statistics found = {
      .log_sum_exp = log_of_sum(all.sum, static_cast<double>(fixed_max<C>(problem.scale))),
      .positive_cosine = 0,
      .mean_cosine = all.cosine_sum * share};
  const index_t positive = problem.pairs.positive(row);
  if (positive >= 0)
    found.positive_cosine = problem.rows.dot(row, problem.positives, positive, problem.cols);
  finish(row, found, mean);
}

/// softmax_pass for such logits. Cost as there.
template <class C>
void fixed_max_softmax(cpu_context& ctx, const contrast_problem<C>& problem, bool with_mean,
                       bool with_mean_cosine, const row_finish<C>& finish) {
  const tiling tiles(problem.cols);
  const auto scale = static_cast<C>(problem.scale);
  const C shift = fixed_max<C>(problem.scale);
  const index_t rows = problem.rows.rows();
  const index_t stride = with_mean ? packed_stride(problem.cols) : 0;
  const index_t blocks = (rows + tiles.block_rows - 1) / tiles.block_rows;
  const instruction_set instructions = usable(ctx.instructions);
  const auto row_bytes =
      stride * static_cast<index_t>(sizeof(C)) + static_cast<index_t>(sizeof(exponential_sums));
  const parts_of_columns split(tiles, blocks, problem.columns.rows(), tiles.block_rows * row_bytes);
  workspace::scope scratch(ctx.workspace);
  const auto of_workers =
      softmax_workers(ctx, scratch, problem, tiles, blocks * split.parts, with_mean_cosine);
  // With one part, a block is finished immediately, so only one set of sums per worker is needed.
  const index_t sets = split.parts == 1 ? of_workers.size() : blocks * split.parts;
  const auto of_parts = part_sums_of<C>(scratch, sets, tiles, stride, with_mean);

  for_each_block(ctx, blocks * split.parts, [&](index_t task, int worker) {
    const index_t block = task / split.parts;
    const index_t begin = block * tiles.block_rows;
    const index_t count = std::min(tiles.block_rows, rows - begin);
    const index_t first = task % split.parts * split.columns;
    const index_t last = std::min(problem.columns.rows(), first + split.columns);
    auto& [tile, cosines] = of_workers[worker];
    const part_sums<C>& my = of_parts[split.parts == 1 ? worker : task];
    std::fill_n(my.sums, count, exponential_sums{});
    if (with_mean) std::fill_n(my.means, count * stride, C{0});
    tile.load_rows(begin, count);
    tile.for_each_chunk(tiles, first, last, [&, &t = tile, c = cosines](index_t, index_t) {
      for (index_t i = 0; i < count; ++i) {
        const exponential_sums row = t.take_exponentials(i, scale, shift, c);
        my.sums[i].sum += row.sum;
        my.sums[i].cosine_sum += row.cosine_sum;
      }
      if (with_mean) t.add_weighted_columns(my.means);
    });
    for (index_t i = 0; split.parts == 1 && i < count; ++i)
      finish_fixed_row(instructions, problem, begin, i, &my, 1, finish);
  });
  if (split.parts == 1) return;
  for_each_row_block(ctx, rows, problem.cols * split.parts, [&](index_t first, index_t count, int) {
    for (index_t row = first; row < first + count; ++row) {
      const index_t block = row / tiles.block_rows;
      finish_fixed_row(instructions, problem, block * tiles.block_rows, row % tiles.block_rows,
                       of_parts.data() + block * split.parts, split.parts, finish);
    }
  });
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu::detail

#include "feaug/header_end.hpp"
