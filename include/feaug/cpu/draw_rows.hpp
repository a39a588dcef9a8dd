// The draws of a whole row at once: each Philox block, and each pair of normal numbers, is computed only once.
#pragma once

#include <cstdint>

#include "feaug/core/random.hpp"
#include "feaug/core/random_normal.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// numbers[j] = the element of column j of what `convert` makes of its block's four words.
template <class C, class Convert>
void draw_row(const random_key& key, index_t row, index_t cols, C* numbers,
              const Convert& convert) {
  C four[4];
  for (index_t j = 0; j < cols; j += 4) {
    convert(draw_block(key, row, static_cast<std::uint32_t>(j / 4)), four);
    for (index_t lane = 0; lane < 4 && j + lane < cols; ++lane) numbers[j + lane] = four[lane];
  }
}

/// numbers[j] = draw_uniform(key, row, j)
template <class C>
void draw_uniform_row(const random_key& key, index_t row, index_t cols, C* numbers) {
  draw_row(key, row, cols, numbers, [](const random_block& block, C* four) {
    for (int lane = 0; lane < 4; ++lane) four[lane] = C{uniform_from_word(block.words[lane])};
  });
}

/// numbers[j] = draw_normal(key, row, j)
template <class C>
void draw_normal_row(const random_key& key, index_t row, index_t cols, C* numbers) {
  draw_row(key, row, cols, numbers, [](const random_block& block, C* four) {
    for (int pair = 0; pair < 4; pair += 2) {
      const normal_pair drawn = normal_from_words(block.words[pair], block.words[pair + 1]);
      four[pair] = C{drawn.even};
      four[pair + 1] = C{drawn.odd};
    }
  });
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu
