// Noise that the caller has drawn.
#pragma once

#include <string_view>
#include <type_traits>

#include "feaug/augment/noising.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

struct drawn_noise_options {
  float scale = 1;  ///< what ε is multiplied by
  noise_scale relative_to = noise_scale::absolute;
};

/// Made by drawn_noise.
template <element K>
struct drawn_noise_of {
  matrix_view<const K> epsilon = {};
  float scale = 1;
  noise_scale relative_to = noise_scale::absolute;

  static constexpr std::string_view name = "drawn_noise";
  static constexpr int streams = 0;

  void check(index_t rows, index_t cols) const {
    feaug::check::readable(name, "epsilon", epsilon);
    feaug::check::has_shape(name, "epsilon", epsilon, rows, cols, "x");
  }
  /// epsilon's own row.
  template <class C>
  void epsilon_row(const random_key& /*key*/, index_t row, index_t cols, C* destination) const {
    const K* source = epsilon.row(row);
    for (index_t j = 0; j < cols; ++j) destination[j] = static_cast<C>(load(source[j]));
  }
};

/// out = x + σ·ε with the caller's ε (N×D, any element type, a constant). The gradient is g. The key is not used. epsilon is
/// read when augment runs, so it must live until then.
template <class K>
drawn_noise_of<std::remove_const_t<K>> drawn_noise(const matrix_view<K>& epsilon,
                                                   const drawn_noise_options& options = {}) {
  return {.epsilon = epsilon, .scale = options.scale, .relative_to = options.relative_to};
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
