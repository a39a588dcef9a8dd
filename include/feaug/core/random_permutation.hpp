// A random permutation of the rows of a batch.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "feaug/core/random.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// The rows sorted by (their word in column 0, their index). Every order is equally likely and the
/// same on every backend. Rows may stay in place. Words are those of the global rows; only the rows
/// of this batch are sorted. `words` is scratch memory for `rows` numbers.
inline void draw_permutation(const random_key& key, index_t* permutation, index_t rows,
                             std::uint32_t* words) {
  for (index_t row = 0; row < rows; ++row) words[row] = draw_word(key, row, 0);
  std::iota(permutation, permutation + rows, index_t{0});
  std::sort(permutation, permutation + rows, [words](index_t a, index_t b) {
    return words[a] != words[b] ? words[a] < words[b] : a < b;
  });
}

/// The same, with scratch memory of its own.
inline void draw_permutation(const random_key& key, index_t* permutation, index_t rows) {
  std::vector<std::uint32_t> words(static_cast<std::size_t>(rows));
  draw_permutation(key, permutation, rows, words.data());
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
