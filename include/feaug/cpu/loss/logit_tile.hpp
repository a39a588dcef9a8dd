// A tile of logits: packed rows times packed columns.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <limits>

#include "feaug/core/finite.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/cpu/core/lanes.hpp"
#include "feaug/cpu/core/parallel.hpp"
#include "feaug/cpu/core/product_pieces.hpp"
#include "feaug/cpu/core/scratch_array.hpp"
#include "feaug/cpu/core/tile_product.hpp"
#include "feaug/cpu/loss/contrast_problem.hpp"
#include "feaug/cpu/loss/logit_weights.hpp"
#include "feaug/cpu/loss/tile_packing.hpp"
#include "feaug/loss/pairing.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

namespace detail {

/// Tiling of the logit matrix. The chunks of columns, which decide the order of additions, depend on
/// the shape only, never on the thread count.
struct tiling {
  index_t block_rows;
  index_t chunk_cols;

  // A tile and its operands fit the L2 cache. Columns are packed once per block, so blocks are as
  // tall as the cache allows.
  explicit tiling(index_t features)
      : block_rows(std::clamp<index_t>(
            (1 << 16) / std::max<index_t>(1, features) / column_step * column_step, column_step,
            256)),
        chunk_cols(std::min<index_t>(block_rows, 128)) {}

  /// For passes in which no row's result depends on the other rows of its block: at least two blocks
  /// for each of several threads, even of a batch of some hundred rows.
  tiling(const cpu_context& ctx, index_t rows, index_t features) : tiling(features) {
    const index_t threads = ctx.thread_count();
    const index_t blocks = threads == 1 ? 1 : 2 * threads;
    const index_t share = (rows + 8 * blocks - 1) / (8 * blocks) * 8;
    block_rows = std::min(block_rows, std::max<index_t>(8, share));
  }
};

struct exponential_sums {
  double sum = 0;
  double cosine_sum = 0;  ///< Σ of weight · cosine
};

/// Σ weight · cosine, in double. Cosines with weight 0 are ignored, even if they are not finite.
template <class C>
double sum_of_weighted(const C* weights, const C* cosines, index_t count) {
  return sum_of_terms<double>(count, [weights, cosines](index_t j) {
    const double term = static_cast<double>(weights[j]) * static_cast<double>(cosines[j]);
    return feaug::detail::is_equal(weights[j], C{0}) ? 0.0 : term;
  });
}

/// One worker's tile: packed rows, packed columns and their products.
template <class C>
class logit_tile {
 public:
  logit_tile(const cpu_context& ctx, workspace::scope& scratch, const contrast_problem<C>& problem,
             const tiling& tiles)
      : problem_(&problem),
        instructions_(usable(ctx.instructions)),
        rows_(scratch.take<C>(packed_size(tiles.block_rows, problem.cols))),
        columns_(scratch.take<C>(packed_size(tiles.chunk_cols, problem.cols))),
        panels_(scratch.take<C>(panels_size(tiles.chunk_cols, problem.cols))),
        products_(scratch.take<C>(tiles.block_rows * padded_columns(tiles.chunk_cols))),
        pieces_(take_pieces<C>(ctx, scratch, problem.rows.significant_bits())) {
    // Exact rows and columns need fewer pieces than unit rows.
    if (!gains_by_exact_rows<C>(ctx, problem.rows.significant_bits(), problem.cols)) return;
    exact_ = scratch.take<C>(packed_size(tiles.block_rows, problem.cols));
    row_rests_ = scratch.take<C>(padded_columns(tiles.block_rows));
    column_rests_ = scratch.take<C>(padded_columns(tiles.chunk_cols));
  }

  /// Writes the products of later tiles to `to` (row stride padded_columns(columns)) instead of the
  /// tile's own scratch, so that the caller can keep them.
  void keep_products_in(C* to) { products_ = to; }

  [[nodiscard]] index_t first_row() const { return first_row_; }
  [[nodiscard]] index_t row_count() const { return row_count_; }

  void load_rows(index_t begin, index_t count) {
    first_row_ = begin;
    row_count_ = count;
    problem_->rows.pack(instructions_, begin, count, problem_->cols, rows_);
    if (exact_ != nullptr)
      problem_->rows.pack(instructions_, begin, count, problem_->cols, exact_, row_rests_);
  }

  /// products = rows · columnsᵀ for columns begin … begin + count − 1. Limited by 2·features FLOP
  /// per logit.
  void multiply(index_t begin, index_t count) {
    first_column_ = begin;
    column_count_ = count;
    const index_t features = problem_->cols;
    // The exactly packed columns are needed for the panels only.
    problem_->columns.pack(instructions_, begin, count, features, columns_, column_rests_);
    turn_into_panels(instructions_, columns_, count, features, panels_);
    if (exact_ != nullptr) problem_->columns.pack(instructions_, begin, count, features, columns_);
    multiply_by_panels(instructions_, exact_ == nullptr ? rows_ : exact_, row_count_, panels_,
                       count, features, products_, pieces_.for_logits(row_rests_, column_rests_));
  }

  /// Multiplies each chunk of all columns and then calls act(first column, column count).
  template <class Act>
  void for_each_chunk(const tiling& tiles, const Act& act) {
    for_each_chunk(tiles, 0, problem_->columns.rows(), act);
  }
  /// The same for columns begin … end − 1.
  template <class Act>
  void for_each_chunk(const tiling& tiles, index_t begin, index_t end, const Act& act) {
    for (index_t first = begin; first < end; first += tiles.chunk_cols) {
      const index_t width = std::min(tiles.chunk_cols, end - first);
      multiply(first, width);
      act(first, width);
    }
  }

  /// sums += products · columns; the row stride of sums is packed_stride(features).
  void add_weighted_columns(C* sums) {
    add_weighted_packed_rows(instructions_,
                             {.a = products_,
                              .a_row = padded_columns(column_count_),
                              .a_depth = 1,
                              .rows = row_count_,
                              .depth = column_count_},
                             columns_, problem_->cols, sums, pieces_.of_weights);
  }

  /// sums += productsᵀ · rows, a row of sums for each column of the tile; strides as above.
  void add_weighted_rows(C* sums) {
    add_weighted_packed_rows(instructions_,
                             {.a = products_,
                              .a_row = 1,
                              .a_depth = padded_columns(column_count_),
                              .rows = column_count_,
                              .depth = row_count_},
                             rows_, problem_->cols, sums, pieces_.of_weights);
  }

  [[nodiscard]] C* row(index_t i) { return products_ + i * padded_columns(column_count_); }

  /// Replaces row i's cosines with exp(scale · cosine − shift) and returns their sum. If `copy` is
  /// not null, it receives the cosines, and the sum of exponential · cosine is also returned.
  /// Excluded columns count as 0.
  exponential_sums take_exponentials(index_t i, C scale, C shift, C* copy) {
    const logit_row<C> logits = row_to_weigh(i, scale, shift);
    if (copy != nullptr) std::copy_n(logits.x, logits.count, copy);
    const double sum = exponentials_of<C>(instructions_, logits);
    return {.sum = sum,
            .cosine_sum = copy == nullptr ? 0.0 : sum_of_weighted(logits.x, copy, logits.count)};
  }

  /// Replaces row i's cosines with exp(scale · cosine − shift) · (own + others_j). `others` is
  /// padded to a multiple of 16, like the row. Excluded columns have weight 0.
  void weigh_row(index_t i, C scale, C shift, C own, const C* others) {
    weigh<C>(instructions_, row_to_weigh(i, scale, shift), own, others);
  }

  /// Row i, with −∞ in excluded columns and in the padding to a multiple of 16.
  logit_row<C> row_to_weigh(index_t i, C scale, C shift) {
    C* const cosines = row(i);
    const index_t count = padded_columns(column_count_);
    constexpr C nothing = -std::numeric_limits<C>::infinity();
    for_each_left_out(i, [cosines](index_t j) { cosines[j] = nothing; });
    std::fill(cosines + column_count_, cosines + count, nothing);
    return {.x = cosines, .count = count, .scale = scale, .shift = shift};
  }

  [[nodiscard]] instruction_set instructions() const { return instructions_; }

  /// Calls act(position in the tile's row, whether the column has row i's label) for all columns of
  /// the tile.
  template <class Act>
  void for_each_labelled(index_t i, const Act& act) const {
    const index_t* const labels = problem_->labels.label;
    const index_t* const columns = labels + first_column_;
    const index_t own = labels[first_row_ + i];
    for_each_in_lanes(column_count_,
                      [&act, columns, own](index_t j) { act(j, columns[j] == own); });
  }

  /// Σ of the logits in row i of the tile whose columns have its label. Row i's own column must
  /// hold 0.
  [[nodiscard]] double sum_of_positives(index_t i, C scale) {
    const C* const cosines = row(i);
    const index_t* const labels = problem_->labels.label;
    const index_t* const columns = labels + first_column_;
    const index_t own = labels[first_row_ + i];
    return sum_of_terms<C>(column_count_, [=](index_t j) {
      const C logit = scale * cosines[j];
      return columns[j] == own ? logit : C{0};
    });
  }

  /// Calls act(position in the tile's row) for the tile's columns that row i excludes.
  template <class Act>
  void for_each_left_out(index_t i, const Act& act) const {
    const index_t global = first_row_ + i;
    const auto visit = [&](index_t column) {
      if (column >= first_column_ && column < first_column_ + column_count_)
        act(column - first_column_);
    };
    if (problem_->positives_are_columns) visit(problem_->pairs.positive(global));
    if (problem_->pairs.self) visit(global + problem_->pairs.self_shift);
    if (!problem_->excluded.given()) return;
    for (index_t j = 0; j < column_count_; ++j) {
      if (problem_->excluded.contains(global, first_column_ + j)) act(j);
    }
  }

 private:
  const contrast_problem<C>* problem_;
  instruction_set instructions_;
  C* rows_;
  C* columns_;
  C* panels_;
  C* products_;
  product_pieces pieces_;
  C* exact_ = nullptr;  // rows that are packed exactly; null: not needed
  C* row_rests_ = nullptr;
  C* column_rests_ = nullptr;
  index_t first_row_ = 0;
  index_t row_count_ = 0;
  index_t first_column_ = 0;
  index_t column_count_ = 0;
};

/// Calls body(first row, row count, scratch) for all blocks of rows; `make` creates each worker's
/// scratch. What it takes from a scope of the caller is released when this function returns.
template <class Make, class Body>
void for_each_tile_row(cpu_context& ctx, index_t rows, const tiling& tiles, const Make& make,
                       const Body& body) {
  const index_t blocks = (rows + tiles.block_rows - 1) / tiles.block_rows;
  using worker_scratch = decltype(make());
  workspace::scope scope(ctx.workspace);
  const scratch_array<worker_scratch> scratch(scope, worker_count(ctx, blocks), make);
  for_each_block(ctx, blocks, [&](index_t block, int worker) {
    const index_t begin = block * tiles.block_rows;
    body(begin, std::min(tiles.block_rows, rows - begin), scratch[worker]);
  });
}

}  // namespace detail

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
