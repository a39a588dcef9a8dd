// A mask that the caller has drawn.
#pragma once

#include <cstdint>
#include <string_view>
#include <type_traits>

#include "feaug/augment/masking.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Made by drawn_mask.
template <element K>
struct drawn_mask_of {
  matrix_view<const K> keep = {};
  feaug::rescale rescale = feaug::rescale::none;

  static constexpr std::string_view name = "drawn_mask";
  static constexpr int streams = 0;
  static constexpr bool orders_columns = false;

  void check(index_t rows, index_t cols) const {
    feaug::check::readable(name, "keep", keep);
    feaug::check::has_shape(name, "keep", keep, rows, cols, "x");
  }
  /// keep's own row.
  template <class C>
  void keep_row(const random_key& /*key*/, index_t row, index_t cols, C* factors,
                std::uint64_t* /*order*/) const {
    const K* source = keep.row(row);
    for (index_t j = 0; j < cols; ++j) factors[j] = static_cast<C>(load(source[j]));
  }
};

/// out = x ⊙ keep with the caller's keep (N×D of 0 and 1, any element type; other numbers multiply as they are). The
/// gradient is g ⊙ keep; keep is a constant. With rescale::row both are multiplied by D / max(Σ keep_row, 1). The key is
/// not used. keep is read when augment runs, so it must live until then.
template <class K>
drawn_mask_of<std::remove_const_t<K>> drawn_mask(const matrix_view<K>& keep,
                                                 rescale rescaled = rescale::none) {
  return {.keep = keep, .rescale = rescaled};
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
