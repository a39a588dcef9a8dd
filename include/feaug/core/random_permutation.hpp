// A random permutation of the rows of a batch.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "feaug/core/random.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// The rows sorted by (their word in column 0, their index). Every order is equally likely and the
/// same on every backend. Rows may stay in place. Words are those of the global rows; only the rows
/// of this batch are sorted.
inline void draw_permutation(const random_key& key, index_t* permutation, index_t rows) {
  std::vector<std::uint32_t> words(static_cast<std::size_t>(rows));
  for (index_t row = 0; row < rows; ++row)
    words[static_cast<std::size_t>(row)] = draw_word(key, row, 0);
  std::iota(permutation, permutation + rows, index_t{0});
  std::sort(permutation, permutation + rows, [&](index_t a, index_t b) {
    const std::uint32_t word_a = words[static_cast<std::size_t>(a)];
    const std::uint32_t word_b = words[static_cast<std::size_t>(b)];
    return word_a != word_b ? word_a < word_b : a < b;
  });
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
