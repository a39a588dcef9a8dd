// Two sides of unit rows in blocks, and what the passes over pairs of blocks share.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>

#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/cpu/core/parallel.hpp"
#include "feaug/cpu/core/product_pieces.hpp"
#include "feaug/cpu/core/tile_product.hpp"
#include "feaug/cpu/loss/logit_tile.hpp"
#include "feaug/cpu/loss/meetings.hpp"
#include "feaug/cpu/loss/row_reader.hpp"
#include "feaug/cpu/loss/tile_packing.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

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
  [[nodiscard]] index_t sides() const { return is_one_side ? 1 : 2; }
  /// The side whose rows are the columns of side `side`.
  [[nodiscard]] index_t other(index_t side) const { return is_one_side ? 0 : 1 - side; }
  [[nodiscard]] const row_reader<C>& rows_of(index_t side) const { return side == 0 ? a : b; }
};

/// The division of a paired_contrast's sides into blocks of rows. Depends on the shape only.
struct row_blocks {
  index_t rows = 0;
  index_t size = 0;  ///< rows of a block, a multiple of 16
  index_t count = 0;

  row_blocks() = default;
  /// Three packed blocks fit the L2 cache, and a batch of some hundred rows still makes eight blocks
  /// for the threads.
  row_blocks(index_t of_rows, index_t cols) : rows(of_rows) {
    constexpr index_t step = 64;
    const index_t fitting = (1 << 15) / std::max<index_t>(1, cols) / step * step;
    const index_t eighth = padded_columns((rows + 7) / 8);
    size = std::min(std::clamp<index_t>(fitting, step, 256), std::max<index_t>(eighth, 32));
    count = (rows + size - 1) / size;
  }
  [[nodiscard]] index_t rows_in(index_t block) const { return std::min(size, rows - block * size); }
};

/// The sums of exponentials of all rows, and what else passes share instead of computing it again:
/// packed rows, and the exponentials of all pairs. The context's most_kept_bytes limits it. What is
/// kept depends on the shape and the type, on that number and on the pieces of products.
template <class C>
class kept_tiles {
 public:
  kept_tiles() = default;

  /// Packs all rows if they may be kept. `with_exponentials`: these are wanted, too.
  kept_tiles(cpu_context& ctx, workspace::scope& scratch, const paired_contrast<C>& problem,
             bool with_exponentials)
      : blocks_(problem.rows(), problem.cols),
        sides_(problem.sides()),
        packed_size_(packed_size(blocks_.size, problem.cols)),
        panels_size_(panels_size(blocks_.size, problem.cols)),
        bytes_left_(ctx.most_kept_bytes) {
    using detail::exponential_sums;
    const auto bytes_of = [](index_t numbers) { return numbers * index_t{sizeof(C)}; };
    const index_t packed = sides_ * blocks_.count * packed_size_;
    is_exact_ = gains_by_exact_rows<C>(ctx, problem.a.significant_bits(), problem.cols);
    const index_t exact = is_exact_ ? packed + sides_ * blocks_.count * blocks_.size : 0;
    const index_t panels = blocks_.count * panels_size_;
    const index_t exponentials =
        with_exponentials
            ? detail::meeting_count(blocks_.count, is_one_side()) * blocks_.size * blocks_.size
            : 0;
    const index_t sums = sides_ * blocks_.rows;
    if (takes(bytes_of(packed + panels + exact))) {
      packed_ = scratch.take<C>(packed);
      panels_ = scratch.take<C>(panels);
      if (is_exact_) {
        exact_ = scratch.take<C>(packed);
        rests_ = scratch.take<C>(exact - packed);
      }
      pack(ctx, problem);
      if (takes(bytes_of(exponentials) +
                blocks_.count * sums * index_t{sizeof(exponential_sums)})) {
        parts_ = blocks_.count;
        if (with_exponentials) exponentials_ = scratch.take<C>(exponentials);
      }
    }
    sums_ = scratch.take<exponential_sums>(parts_ * sums);
  }

  /// Whether `bytes` more may be kept. If so, they are counted.
  bool takes(index_t bytes) {
    if (bytes > bytes_left_) return false;
    bytes_left_ -= bytes;
    return true;
  }

  [[nodiscard]] const row_blocks& blocks() const { return blocks_; }
  [[nodiscard]] bool is_one_side() const { return sides_ == 1; }

  /// A block's packed rows; null: not kept.
  [[nodiscard]] C* packed(index_t side, index_t block) const {
    return packed_ == nullptr ? nullptr : packed_ + (side * blocks_.count + block) * packed_size_;
  }
  /// Whether logits are products of rows that are packed exactly.
  [[nodiscard]] bool is_exact() const { return is_exact_; }
  /// A block's exactly packed rows; null: not kept, or not needed.
  [[nodiscard]] C* exact(index_t side, index_t block) const {
    return exact_ == nullptr ? nullptr : exact_ + (side * blocks_.count + block) * packed_size_;
  }
  /// The rests of their factors.
  [[nodiscard]] C* rests(index_t side, index_t block) const {
    return rests_ == nullptr ? nullptr : rests_ + (side * blocks_.count + block) * blocks_.size;
  }
  /// A block's panels, as columns, of the exactly packed rows if there are any; null: not kept.
  [[nodiscard]] C* panels(index_t block) const {
    return panels_ == nullptr ? nullptr : panels_ + block * panels_size_;
  }
  /// The exponentials of a pair of blocks, rows padded_columns(columns) apart; null: not kept.
  [[nodiscard]] C* exponentials(index_t first, index_t second) const {
    if (exponentials_ == nullptr) return nullptr;
    const index_t before = is_one_side() ? first * (first + 1) / 2 : 0;
    return exponentials_ + (first * blocks_.count - before + second) * blocks_.size * blocks_.size;
  }
  [[nodiscard]] bool has_exponentials() const { return exponentials_ != nullptr; }

  /// Whether every row has sums of its own for each block of columns.
  [[nodiscard]] bool has_parts() const { return parts_ > 1; }
  /// The sums of a side's rows over block `columns` of the columns, or over all.
  [[nodiscard]] detail::exponential_sums* sums(index_t side, index_t columns) const {
    return sums_ + ((has_parts() ? columns * sides_ : 0) + side) * blocks_.rows;
  }
  void clear_sums() {
    std::fill_n(sums_, parts_ * sides_ * blocks_.rows, detail::exponential_sums{});
  }
  /// A row's sums over all columns.
  [[nodiscard]] detail::exponential_sums sum_of(index_t side, index_t row) const {
    detail::exponential_sums all;
    for (index_t part = 0; part < parts_; ++part) {
      const detail::exponential_sums& more = sums(side, part)[row];
      all.sum += more.sum;
      all.cosine_sum += more.cosine_sum;
    }
    return all;
  }

 private:
  void pack(cpu_context& ctx, const paired_contrast<C>& problem) {
    const instruction_set instructions = usable(ctx.instructions);
    for_each_block(ctx, sides_ * blocks_.count, [&](index_t at, int) {
      const index_t side = at / blocks_.count;
      const index_t block = at % blocks_.count;
      const index_t count = blocks_.rows_in(block);
      C* const rows = packed(side, block);
      problem.rows_of(side).pack(instructions, block * blocks_.size, count, problem.cols, rows);
      C* const for_logits = is_exact_ ? exact(side, block) : rows;
      if (is_exact_) {
        problem.rows_of(side).pack(instructions, block * blocks_.size, count, problem.cols,
                                   for_logits, rests(side, block));
      }
      if (side == problem.other(0))
        turn_into_panels(instructions, for_logits, count, problem.cols, panels(block));
    });
  }

  row_blocks blocks_;
  index_t sides_ = 1;
  index_t packed_size_ = 0;
  index_t panels_size_ = 0;
  index_t bytes_left_ = 0;
  index_t parts_ = 1;
  C* packed_ = nullptr;
  C* panels_ = nullptr;
  bool is_exact_ = false;
  C* exact_ = nullptr;
  C* rests_ = nullptr;
  C* exponentials_ = nullptr;
  detail::exponential_sums* sums_ = nullptr;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
