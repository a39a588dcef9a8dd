// A run of neighbouring features dropped.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "feaug/augment/masking.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// out = x ⊙ keep with block_length neighbouring columns of every row dropped; the first of them is uniform in
/// 0 … D − block_length. The gradient is g ⊙ keep. With rescale::row both are multiplied by D / max(number kept, 1).
struct block_mask {
  index_t block_length = 1;
  feaug::rescale rescale = feaug::rescale::none;

  static constexpr std::string_view name = "block_mask";
  static constexpr int streams = 1;
  static constexpr bool orders_columns = false;

  void check(index_t /*rows*/, index_t cols) const {
    feaug::check::within(name, "block_length", block_length, 0, cols);
    feaug::check::within(name, "columns of x", cols, 0, (index_t{1} << 32) - 1);
  }
  /// keep[j] = 1 or 0 for the columns of one row.
  template <class C>
  void keep_row(const random_key& key, index_t row, index_t cols, C* keep,
                std::uint64_t* /*order*/) const {
    // The word as a fraction of 2³², times the number of places: 0 … places − 1, without a division.
    const auto places = static_cast<std::uint64_t>(cols - block_length + 1);
    const auto begin = static_cast<index_t>((draw_word(key, row, 0) * places) >> 32);
    std::fill_n(keep, cols, C{1});
    std::fill_n(keep + begin, block_length, C{0});
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
