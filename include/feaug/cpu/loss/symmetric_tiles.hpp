// Tiled contrast of two views in which every tile of logits serves both of its sides: one product
// and one exponential per pair for the sums of rows and columns, three products for both gradients.
// If all rows are contrasted with all rows, a tile below the diagonal equals the one above and is
// not computed.
//
// Pairs of blocks are scheduled in rounds, by round-robin. Within a round every block occurs in
// at most one pair, so that the worker of a pair has exclusive access to the sums of both blocks.
// The order of additions is the order of the rounds, for any number of threads.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <limits>
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
#include "feaug/cpu/loss/logit_tile.hpp"
#include "feaug/cpu/loss/logit_weights.hpp"
#include "feaug/cpu/loss/row_reader.hpp"
#include "feaug/cpu/loss/tile_packing.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

namespace detail {

/// A pair of blocks; `second` can be a run of several adjacent blocks.
struct meeting {
  index_t first;
  index_t second;
  index_t seconds = 1;
};

/// The pairs of one round of the round-robin schedule of `blocks` blocks, by the circle method: the
/// last block stays, the others rotate. Each pair occurs once in blocks − 1 rounds (in `blocks`
/// rounds if their number is odd). Returns their number, at most blocks / 2.
inline index_t round_robin_round(index_t blocks, index_t round, meeting* meetings) {
  index_t count = 0;
  const index_t seats = blocks + blocks % 2;  // an odd number leaves one block idle
  const index_t circle = seats - 1;
  const auto meet = [&](index_t a, index_t b) {
    if (a < blocks && b < blocks)
      meetings[count++] = {.first = std::min(a, b), .second = std::max(a, b)};
  };
  meet(circle, round);
  for (index_t i = 1; i < seats / 2; ++i) meet((round + i) % circle, (round + circle - i) % circle);
  return count;
}

/// Calls act(meeting, worker) for all pairs of blocks: of one side with itself (each pair once, and
/// each block with itself), or of two sides. Scratch: 24 bytes a block.
template <class Act>
void for_each_meeting(cpu_context& ctx, index_t blocks, bool is_one_side, const Act& act) {
  workspace::scope scratch(ctx.workspace);
  auto* const meetings = scratch.take<meeting>(blocks);
  const auto run = [&](index_t count) {
    for_each_block(ctx, count, [&](index_t at, int worker) { act(meetings[at], worker); });
  };
  if (is_one_side) {
    for (index_t block = 0; block < blocks; ++block)
      meetings[block] = {.first = block, .second = block};
    run(blocks);
    for (index_t round = 0; round + 1 < blocks + blocks % 2; ++round)
      run(round_robin_round(blocks, round, meetings));
    return;
  }
  // If there are many blocks, each is paired with several adjacent blocks of the other side at
  // once; it is then packed and its sums are added less often.
  const index_t seconds = std::clamp<index_t>(blocks / 16, 1, 4);
  const index_t groups = (blocks + seconds - 1) / seconds;
  for (index_t round = 0; round < blocks; ++round) {
    for (index_t group = 0; group < groups; ++group) {
      const index_t second = group * seconds;
      meetings[group] = {.first = (group + round) % blocks,
                         .second = second,
                         .seconds = std::min(seconds, blocks - second)};
    }
    run(groups);
  }
}

}  // namespace detail

/// Unit rows against unit rows. Two sides: a's rows against b's, equally many; row i of a and row i
/// of b are positives. One side (`is_one_side`): all rows of `a` against all others; rows i and i ±
/// N are positives, with N half the rows. Positives are excluded from all sums. scale must satisfy
/// can_fix_shift.
template <class C>
struct paired_contrast {
  row_reader<C> a;
  row_reader<C> b;
  bool is_one_side = false;
  index_t cols = 0;
  double scale = 1;

  [[nodiscard]] index_t rows() const { return a.rows(); }
  [[nodiscard]] index_t positive(index_t i) const {
    if (!is_one_side) return i;
    const index_t half = rows() / 2;
    return i < half ? i + half : i - half;
  }
};

namespace detail {

/// One worker's tiles for a pair of blocks.
template <class C>
class meeting_tile {
 public:
  static constexpr index_t strip = 64;  ///< rows of logits per step, so that they stay in the cache

  /// Rows of a block: three packed blocks fit the L2 cache, and a batch of some hundred rows still
  /// makes eight blocks for the threads.
  static index_t block_rows(const paired_contrast<C>& problem) {
    const index_t fitting = (1 << 15) / std::max<index_t>(1, problem.cols) / strip * strip;
    const index_t eighth = padded_columns((problem.rows() + 7) / 8);
    return std::min(std::clamp<index_t>(fitting, strip, 256), std::max<index_t>(eighth, 32));
  }

  meeting_tile(const cpu_context& ctx, workspace::scope& scratch, const paired_contrast<C>& problem)
      : problem_(&problem),
        instructions_(usable(ctx.instructions)),
        size_(block_rows(problem)),
        rows_(scratch.take<C>(packed_size(size_, problem.cols))),
        columns_(scratch.take<C>(packed_size(size_, problem.cols))),
        panels_(scratch.take<C>(panels_size(size_, problem.cols))),
        logits_(scratch.take<C>(strip * padded_columns(size_))) {}

  void load_rows(index_t block) {
    first_row_ = block * size_;
    row_count_ = std::min(size_, problem_->rows() - first_row_);
    problem_->a.pack(instructions_, first_row_, row_count_, problem_->cols, rows_);
  }
  void load_columns(index_t block) {
    first_column_ = block * size_;
    column_count_ = std::min(size_, problem_->rows() - first_column_);
    const row_reader<C>& columns = problem_->is_one_side ? problem_->a : problem_->b;
    columns.pack(instructions_, first_column_, column_count_, problem_->cols, columns_);
    turn_into_panels(instructions_, columns_, column_count_, problem_->cols, panels_);
  }

  [[nodiscard]] index_t first_row() const { return first_row_; }
  [[nodiscard]] index_t first_column() const { return first_column_; }
  [[nodiscard]] index_t row_count() const { return row_count_; }
  [[nodiscard]] index_t column_count() const { return column_count_; }
  [[nodiscard]] bool is_diagonal() const {
    return problem_->is_one_side && first_row_ == first_column_;
  }

  /// Computes the logits of each strip, with −∞ in excluded columns, and calls act(first row of the
  /// strip, row count).
  template <class Act>
  void for_each_strip(const Act& act) {
    const index_t stride = padded_columns(column_count_);
    constexpr C nothing = -std::numeric_limits<C>::infinity();
    for (index_t first = 0; first < row_count_; first += strip) {
      const index_t count = std::min(strip, row_count_ - first);
      cpu::multiply<C>(instructions_, {.a = rows_ + first * packed_stride(problem_->cols),
                                       .a_row = packed_stride(problem_->cols),
                                       .a_depth = 1,
                                       .b = panels_,
                                       .b_panel = panel_width * problem_->cols,
                                       .b_depth = panel_width,
                                       .c = logits_,
                                       .c_row = stride,
                                       .rows = count,
                                       .cols = stride,
                                       .depth = problem_->cols});
      for (index_t i = 0; i < count; ++i) {
        C* const row = logits_ + i * stride;
        const index_t global = first_row_ + first + i;
        const auto leave_out = [&](index_t column) {
          if (column >= first_column_ && column < first_column_ + column_count_)
            row[column - first_column_] = nothing;
        };
        leave_out(problem_->positive(global));
        if (problem_->is_one_side) leave_out(global);
        std::fill(row + column_count_, row + stride, nothing);
      }
      act(first, count);
    }
  }

  [[nodiscard]] logit_row<C> logits(index_t i) const {
    const index_t stride = padded_columns(column_count_);
    return {.x = logits_ + i * stride,
            .count = stride,
            .scale = static_cast<C>(problem_->scale),
            .shift = fixed_max<C>(problem_->scale)};
  }

  /// to += strip · columns, for the strip's rows
  void add_columns(index_t count, C* to) {
    multiply_into(to, {.a = logits_,
                       .a_row = padded_columns(column_count_),
                       .a_depth = 1,
                       .b = columns_,
                       .rows = count,
                       .depth = column_count_});
  }
  /// to += stripᵀ · rows, for all columns
  void add_rows(index_t first, index_t count, C* to) {
    multiply_into(to, {.a = logits_,
                       .a_row = 1,
                       .a_depth = padded_columns(column_count_),
                       .b = rows_ + first * packed_stride(problem_->cols),
                       .rows = column_count_,
                       .depth = count});
  }

  [[nodiscard]] instruction_set instructions() const { return instructions_; }

 private:
  /// to += product of the given weights with the packed rows `b`.
  void multiply_into(C* to, tile_product<C> product) const {
    product.b_panel = panel_width;
    product.b_depth = packed_stride(problem_->cols);
    product.c = to;
    product.c_row = packed_stride(problem_->cols);
    product.cols = padded_columns(problem_->cols);
    product.accumulate = true;
    cpu::multiply<C>(instructions_, product);
  }

  const paired_contrast<C>* problem_;
  instruction_set instructions_;
  index_t size_;
  C* rows_;
  C* columns_;
  C* panels_;
  C* logits_;
  index_t first_row_ = 0;
  index_t first_column_ = 0;
  index_t row_count_ = 0;
  index_t column_count_ = 0;
};

/// A worker's tile and two scratch arrays.
template <class C>
struct meeting_worker {
  meeting_tile<C> tile;
  C* of_rows;
  C* of_columns;
};

/// One for each worker, with `numbers` for a block's rows, and as many for its columns.
template <class C>
scratch_array<meeting_worker<C>> meeting_workers(cpu_context& ctx, workspace::scope& scratch,
                                                 const paired_contrast<C>& problem, index_t blocks,
                                                 index_t numbers) {
  return {scratch, worker_count(ctx, blocks), [&]() -> meeting_worker<C> {
            return {.tile = meeting_tile<C>(ctx, scratch, problem),
                    .of_rows = scratch.take<C>(numbers),
                    .of_columns = scratch.take<C>(numbers)};
          }};
}

/// Σ exp(s − shift) of every row over the columns that it does not exclude, and of every column
/// over the rows.
struct paired_exponentials {
  exponential_sums* of_a;
  exponential_sums* of_b;  ///< equal to of_a for one side
};

}  // namespace detail

/// Fills `sums`, N each; with the sums of exponential · cosine if `with_cosines`. Limited by one
/// product (2·cols FLOP) and one exponential per pair of rows. Scratch: three blocks of rows per
/// worker.
template <class C>
void paired_sums(cpu_context& ctx, const paired_contrast<C>& problem, bool with_cosines,
                 const detail::paired_exponentials& sums) {
  const index_t size = detail::meeting_tile<C>::block_rows(problem);
  const index_t blocks = (problem.rows() + size - 1) / size;
  const index_t width = padded_columns(size);
  workspace::scope scratch(ctx.workspace);
  const auto workers = detail::meeting_workers(ctx, scratch, problem, blocks, 2 * width);
  std::fill_n(sums.of_a, problem.rows(), detail::exponential_sums{});
  std::fill_n(sums.of_b, problem.rows(), detail::exponential_sums{});
  const auto add_with_cosines = [&](const logit_row<C>& row, instruction_set instructions, C* copy,
                                    C* of_columns) {
    std::copy_n(row.x, row.count, copy);
    const double sum = exponentials_of<C>(instructions, row);
    for_each_in_lanes(row.count, [x = row.x, copy, of_columns, width](index_t j) {
      const C of_cosine = x[j] * copy[j];
      of_columns[j] += x[j];
      of_columns[width + j] += feaug::detail::is_equal(x[j], C{0}) ? C{0} : of_cosine;
    });
    return detail::exponential_sums{sum, detail::sum_of_weighted(row.x, copy, row.count)};
  };
  detail::for_each_meeting(
      ctx, blocks, problem.is_one_side, [&](const detail::meeting& pair, int worker) {
        auto& my = workers[worker];
        detail::meeting_tile<C>& tile = my.tile;
        const instruction_set instructions = tile.instructions();
        C* const of_columns = my.of_columns;
        tile.load_rows(pair.first);
        for (index_t second = 0; second < pair.seconds; ++second) {
          tile.load_columns(pair.second + second);
          std::fill_n(of_columns, 2 * width, C{0});
          tile.for_each_strip([&](index_t first, index_t count) {
            for (index_t i = 0; i < count; ++i) {
              const logit_row<C> row = tile.logits(i);
              detail::exponential_sums& sum = sums.of_a[tile.first_row() + first + i];
              if (with_cosines) {
                const auto added = add_with_cosines(row, instructions, my.of_rows, of_columns);
                sum.sum += added.sum;
                sum.cosine_sum += added.cosine_sum;
              } else {
                sum.sum += add_exponentials<C>(instructions, row, of_columns);
              }
            }
          });
          if (tile.is_diagonal()) continue;  // its columns are its rows
          for (index_t j = 0; j < tile.column_count(); ++j) {
            detail::exponential_sums& sum = sums.of_b[tile.first_column() + j];
            sum.sum += static_cast<double>(of_columns[j]);
            sum.cosine_sum += static_cast<double>(of_columns[width + j]);
          }
        }
      });
}

/// Weights of pairs in paired_gradients: exp(s_ij − shift) · (of_a_i + of_b_j). For one side, of_b
/// is of_a.
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
/// exponential per pair of rows. Scratch: five blocks of rows per worker.
template <class C>
void paired_gradients(cpu_context& ctx, const paired_contrast<C>& problem,
                      const paired_weights<C>& weights, const row_destination<C>& row_of_a,
                      const row_destination<C>& row_of_b) {
  const index_t size = detail::meeting_tile<C>::block_rows(problem);
  const index_t blocks = (problem.rows() + size - 1) / size;
  const index_t stride = packed_stride(problem.cols);
  const instruction_set instructions = usable(ctx.instructions);
  workspace::scope scratch(ctx.workspace);
  const auto workers = detail::meeting_workers(ctx, scratch, problem, blocks, size * stride);
  const scratch_array<C*> others(scratch, workers.size(),
                                 [&] { return scratch.take<C>(padded_columns(size)); });
  const auto add = [&](const C* from, index_t count, const auto& row_at) {
    for (index_t i = 0; i < count; ++i)
      add_row<C>(instructions, from + i * stride, problem.cols, row_at(i));
  };
  detail::for_each_meeting(
      ctx, blocks, problem.is_one_side, [&](const detail::meeting& pair, int worker) {
        auto& my = workers[worker];
        C* const of_columns = others[worker];
        detail::meeting_tile<C>& tile = my.tile;
        tile.load_rows(pair.first);
        std::fill_n(my.of_rows, tile.row_count() * stride, C{0});
        for (index_t second = 0; second < pair.seconds; ++second) {
          tile.load_columns(pair.second + second);
          std::fill_n(of_columns, padded_columns(tile.column_count()), C{0});
          std::copy_n(weights.of_b + tile.first_column(), tile.column_count(), of_columns);
          std::fill_n(my.of_columns, tile.column_count() * stride, C{0});
          tile.for_each_strip([&](index_t first, index_t count) {
            for (index_t i = 0; i < count; ++i) {
              const C own = weights.of_a[tile.first_row() + first + i];
              weigh<C>(tile.instructions(), tile.logits(i), own, of_columns);
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

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
