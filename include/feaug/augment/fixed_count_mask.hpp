// The same number of features kept in every row.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "feaug/augment/masking.hpp"
#include "feaug/cpu/draw_rows.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// out = x ⊙ keep with exactly keep_count elements of every row kept, every choice equally likely: those of the smallest
/// (word, column). The gradient is g ⊙ keep. With rescale::row both are multiplied by D / max(keep_count, 1).
struct fixed_count_mask {
  index_t keep_count = 0;
  feaug::rescale rescale = feaug::rescale::none;

  static constexpr std::string_view name = "fixed_count_mask";
  static constexpr int streams = 1;
  static constexpr bool orders_columns = true;

  void check(index_t /*rows*/, index_t cols) const {
    feaug::check::within(name, "keep_count", keep_count, 0, cols);
    feaug::check::within(name, "columns of x", cols, 0, index_t{1} << 32);
  }
  /// keep[j] = 1 or 0 for the columns of one row; `order` holds a word a column.
  template <class C>
  void keep_row(const random_key& key, index_t row, index_t cols, C* keep,
                std::uint64_t* order) const {
    std::fill_n(keep, cols, C{0});
    if (keep_count == 0) return;
    cpu::draw_row(key, row, cols, order, [](const random_block& block, std::uint64_t* four) {
      for (int lane = 0; lane < 4; ++lane) four[lane] = std::uint64_t{block.words[lane]} << 32;
    });
    for (index_t j = 0; j < cols; ++j) order[j] |= static_cast<std::uint64_t>(j);
    std::nth_element(order, order + (keep_count - 1), order + cols);
    for (index_t k = 0; k < keep_count; ++k) keep[order[k] & 0xFFFFFFFFU] = C{1};
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
