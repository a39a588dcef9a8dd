// The random draws available to the functor of an element-wise augmentation, four columns at a
// time.
#pragma once

#include "feaug/header_begin.hpp"

#include <concepts>
#include <cstdint>

#include "feaug/core/macros.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/random_normal.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// No draw.
struct no_draw {};
/// Uniform in [0, 1).
struct uniform_draw {
  float value;
};
/// Standard normal.
struct normal_draw {
  float value;
};

namespace detail {

/// The draws of columns 4·block … 4·block + 3 of a row.
template <class Draw>
FEAUG_HD void draw_four(const random_key& key, index_t row, std::uint32_t block,
                        float (&values)[4]) {
  const random_block drawn = draw_block(key, row, block);
  if constexpr (std::same_as<Draw, uniform_draw>) {
    for (int lane = 0; lane < 4; ++lane) values[lane] = uniform_from_word(drawn.words[lane]);
  } else {
    for (int lane = 0; lane < 4; lane += 2) {
      const normal_pair pair = normal_from_words(drawn.words[lane], drawn.words[lane + 1]);
      values[lane] = pair.even;
      values[lane + 1] = pair.odd;
    }
  }
}

}  // namespace detail

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
