// Each feature dropped by a draw of its own.
#pragma once

#include <cstdint>
#include <string_view>

#include "feaug/augment/masking.hpp"
#include "feaug/cpu/draw_rows.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// out = x ⊙ keep; an element is kept if its uniform draw is below keep_probability. The gradient is g ⊙ keep.
/// With rescale::row both are multiplied by D / max(number kept in the row, 1).
struct mask {
  float keep_probability = 0.8F;
  feaug::rescale rescale = feaug::rescale::none;

  static constexpr std::string_view name = "mask";
  static constexpr int streams = 1;
  static constexpr bool orders_columns = false;

  void check(index_t /*rows*/, index_t /*cols*/) const {
    feaug::check::within(name, "keep_probability", double{keep_probability}, 0, 1);
  }
  /// keep[j] = 1 or 0 for the columns of one row.
  template <class C>
  void keep_row(const random_key& key, index_t row, index_t cols, C* keep,
                std::uint64_t* /*order*/) const {
    cpu::draw_uniform_row(key, row, cols, keep);
    for (index_t j = 0; j < cols; ++j) keep[j] = keep[j] < C{keep_probability} ? C{1} : C{0};
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
