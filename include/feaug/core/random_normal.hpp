// Normal draws by the Box-Muller transform (1958), from the words of Philox.
#pragma once

#include "feaug/header_begin.hpp"

#include <cstdint>

#include "feaug/core/elementary.hpp"
#include "feaug/core/exact_math.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/core/random.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// A word as a number in (0, 1], so that its logarithm is finite.
FEAUG_HD inline float positive_uniform_from_word(std::uint32_t word) {
  return static_cast<float>(static_cast<std::uint64_t>(word) + 1U) * 0x1p-32F;
}

struct normal_pair {
  float even;
  float odd;
};

/// Two independent standard normal numbers from two words. The largest possible value is 6.66.
FEAUG_HD inline normal_pair normal_from_words(std::uint32_t radius_word, std::uint32_t angle_word) {
  const float radius = exact::sqrt(-2.0F * exact::log(positive_uniform_from_word(radius_word)));
  const exact::sine_cosine angle = exact::of_turn(angle_word);
  return {radius * angle.cosine, radius * angle.sine};
}

/// The standard normal number of one element: columns 2k and 2k + 1 share a pair of words.
FEAUG_HD inline float draw_normal(const random_key& key, index_t row, index_t column) {
  const random_block block = draw_block(key, row, static_cast<std::uint32_t>(column / 4));
  // No index known only at run time, so that a GPU keeps the words in registers.
  const bool is_first_pair = column % 4 < 2;
  const normal_pair drawn = normal_from_words(is_first_pair ? block.words[0] : block.words[2],
                                              is_first_pair ? block.words[1] : block.words[3]);
  return column % 2 == 0 ? drawn.even : drawn.odd;
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
