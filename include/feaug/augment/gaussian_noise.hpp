// Normal noise added to every feature.
#pragma once

#include <string_view>

#include "feaug/augment/noising.hpp"
#include "feaug/cpu/draw_rows.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// out = x + σ·ε, ε standard normal for every element; σ is `scale`, or `scale` times the row's norm. The gradient is g.
struct gaussian_noise {
  float scale = 0.05F;
  noise_scale relative_to = noise_scale::absolute;

  static constexpr std::string_view name = "gaussian_noise";
  static constexpr int streams = 1;

  void check(index_t /*rows*/, index_t /*cols*/) const {}
  /// ε for the columns of one row.
  template <class C>
  void epsilon_row(const random_key& key, index_t row, index_t cols, C* epsilon) const {
    cpu::draw_normal_row(key, row, cols, epsilon);
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
