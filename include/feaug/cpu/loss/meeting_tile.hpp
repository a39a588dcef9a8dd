// One worker's tile of logits for a pair of blocks.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <limits>

#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/cpu/core/product_pieces.hpp"
#include "feaug/cpu/core/tile_product.hpp"
#include "feaug/cpu/loss/kept_tiles.hpp"
#include "feaug/cpu/loss/logit_weights.hpp"
#include "feaug/cpu/loss/tile_packing.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu::detail {

/// The rows of one block times the rows of another, in strips of rows. Packed rows are those of
/// kept_tiles, or else packed by the tile.
template <class C>
class meeting_tile {
 public:
  meeting_tile(const cpu_context& ctx, workspace::scope& scratch, const paired_contrast<C>& problem,
               const kept_tiles<C>& kept)
      : problem_(&problem), kept_(&kept), instructions_(usable(ctx.instructions)) {
    const index_t size = kept.blocks().size;
    pieces_ = take_pieces<C>(ctx, scratch, problem.a.significant_bits());
    // Strips of logits that stay in the cache. Products in pieces gain more if they are few: each
    // splits its operands again.
    constexpr index_t cached_rows = 64;
    strip_rows_ = pieces_.of_features.count == 0 ? std::min(cached_rows, size) : size;
    strip_ = own_strip_ = scratch.take<C>(strip_rows_ * size);
    if (kept.packed(0, 0) != nullptr) return;
    own_rows_ = scratch.take<C>(packed_size(size, problem.cols));
    own_columns_ = scratch.take<C>(packed_size(size, problem.cols));
    own_panels_ = scratch.take<C>(panels_size(size, problem.cols));
    if (!kept.is_exact()) return;
    own_exact_ = scratch.take<C>(packed_size(size, problem.cols));
    own_row_rests_ = scratch.take<C>(size);
    own_column_rests_ = scratch.take<C>(size);
  }

  void load_rows(index_t block) {
    first_row_ = block * kept_->blocks().size;
    row_count_ = kept_->blocks().rows_in(block);
    rows_ = kept_->packed(0, block);
    exact_ = kept_->exact(0, block);
    row_rests_ = kept_->rests(0, block);
    if (rows_ != nullptr) return;
    rows_ = own_rows_;
    problem_->a.pack(instructions_, first_row_, row_count_, problem_->cols, own_rows_);
    if (!kept_->is_exact()) return;
    exact_ = own_exact_;
    row_rests_ = own_row_rests_;
    problem_->a.pack(instructions_, first_row_, row_count_, problem_->cols, own_exact_,
                     own_row_rests_);
  }
  void load_columns(index_t block) {
    first_column_ = block * kept_->blocks().size;
    column_count_ = kept_->blocks().rows_in(block);
    const index_t side = problem_->other(0);
    columns_ = kept_->packed(side, block);
    panels_ = kept_->panels(block);
    column_rests_ = kept_->rests(side, block);
    if (columns_ != nullptr) return;
    columns_ = own_columns_;
    panels_ = own_panels_;
    column_rests_ = own_column_rests_;
    // The exactly packed rows are needed for the panels only.
    const auto pack = [&](C* rests) {
      problem_->rows_of(side).pack(instructions_, first_column_, column_count_, problem_->cols,
                                   own_columns_, rests);
    };
    pack(own_column_rests_);
    turn_into_panels(instructions_, columns_, column_count_, problem_->cols, own_panels_);
    if (own_column_rests_ != nullptr) pack(nullptr);
  }

  [[nodiscard]] index_t first_row() const { return first_row_; }
  [[nodiscard]] index_t first_column() const { return first_column_; }
  [[nodiscard]] index_t row_count() const { return row_count_; }
  [[nodiscard]] index_t column_count() const { return column_count_; }
  [[nodiscard]] bool is_diagonal() const {
    return problem_->is_one_side && first_row_ == first_column_;
  }

  /// Computes the cosines of each strip, with −∞ in excluded columns, and calls act(first row of the
  /// strip, row count). Rows are written one after another to `to`, or to the tile's own memory.
  template <class Act>
  void for_each_strip(C* to, const Act& act) {
    for_each_strip_of_rows([&](index_t first, index_t count) {
      if (to != nullptr) strip_ = to + first * stride();
      multiply_strip(first, count);
      act(first, count);
    });
    strip_ = own_strip_;
  }
  /// Computes exponential · (u of the row + v of the column) of kept exponentials for each strip, and
  /// calls act like for_each_strip. u and v are those of all rows and columns.
  template <class Act>
  void for_each_kept_strip(const C* exponentials, const C* u, const C* v, const Act& act) const {
    for_each_strip_of_rows([&](index_t first, index_t count) {
      for (index_t i = 0; i < count; ++i) {
        weigh_kept<C>(instructions_, exponentials + (first + i) * stride(), stride(),
                      u[first_row_ + first + i], v + first_column_, strip_ + i * stride());
      }
      act(first, count);
    });
  }

  /// Row i of the strip.
  [[nodiscard]] logit_row<C> logits(index_t i) const {
    return {.x = strip_ + i * stride(),
            .count = stride(),
            .scale = static_cast<C>(problem_->scale),
            .shift = fixed_max<C>(problem_->scale)};
  }

  /// to += strip · columns, for the strip's rows
  void add_columns(index_t count, C* to) const {
    add_weighted_packed_rows(
        instructions_,
        {.a = strip_, .a_row = stride(), .a_depth = 1, .rows = count, .depth = column_count_},
        columns_, problem_->cols, to, pieces_.of_weights);
  }
  /// to += stripᵀ · rows, for all columns
  void add_rows(index_t first, index_t count, C* to) const {
    add_weighted_packed_rows(
        instructions_,
        {.a = strip_, .a_row = 1, .a_depth = stride(), .rows = column_count_, .depth = count},
        rows_ + first * packed_stride(problem_->cols), problem_->cols, to, pieces_.of_weights);
  }

  [[nodiscard]] instruction_set instructions() const { return instructions_; }

 private:
  /// Elements from one row of the strip to the next.
  [[nodiscard]] index_t stride() const { return padded_columns(column_count_); }

  template <class Act>
  void for_each_strip_of_rows(const Act& act) const {
    for (index_t first = 0; first < row_count_; first += strip_rows_)
      act(first, std::min(strip_rows_, row_count_ - first));
  }

  void multiply_strip(index_t first, index_t count) const {
    const C* const rows = exact_ == nullptr ? rows_ : exact_;
    const C* const rests = row_rests_ == nullptr ? nullptr : row_rests_ + first;
    multiply_by_panels(instructions_, rows + first * packed_stride(problem_->cols), count, panels_,
                       column_count_, problem_->cols, strip_,
                       pieces_.for_logits(rests, column_rests_));
    constexpr C nothing = -std::numeric_limits<C>::infinity();
    for (index_t i = 0; i < count; ++i) {
      C* const row = strip_ + i * stride();
      const index_t global = first_row_ + first + i;
      const auto leave_out = [&](index_t column) {
        if (column >= first_column_ && column < first_column_ + column_count_)
          row[column - first_column_] = nothing;
      };
      leave_out(problem_->positive(global));
      if (problem_->is_one_side) leave_out(global);
      std::fill(row + column_count_, row + stride(), nothing);
    }
  }

  const paired_contrast<C>* problem_;
  const kept_tiles<C>* kept_;
  instruction_set instructions_;
  product_pieces pieces_;
  index_t strip_rows_ = 0;
  C* own_strip_ = nullptr;
  C* own_rows_ = nullptr;
  C* own_columns_ = nullptr;
  C* own_panels_ = nullptr;
  C* own_exact_ = nullptr;
  C* own_row_rests_ = nullptr;
  C* own_column_rests_ = nullptr;
  C* strip_ = nullptr;  // the current strip: the tile's own, or kept
  const C* rows_ = nullptr;
  const C* columns_ = nullptr;
  const C* panels_ = nullptr;
  const C* exact_ = nullptr;  // rows for the logits, if not rows_
  const C* row_rests_ = nullptr;
  const C* column_rests_ = nullptr;
  index_t first_row_ = 0;
  index_t first_column_ = 0;
  index_t row_count_ = 0;
  index_t column_count_ = 0;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu::detail

#include "feaug/header_end.hpp"
