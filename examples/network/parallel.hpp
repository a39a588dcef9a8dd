// Parallel loops over fixed blocks of images, so that results do not depend on the number of
// threads.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "feaug/cpu/core/parallel.hpp"
#include "matrix.hpp"

namespace network {

/// Calls work(first, count, block) for `rows` rows in at most `blocks` blocks of equal size;
/// returns the number of blocks.
template <class Work>
index for_each_block(feaug::cpu_context& ctx, index rows, index blocks, const Work& work) {
  const index size = std::max<index>(1, (rows + blocks - 1) / blocks);
  const index count = (rows + size - 1) / size;
  feaug::cpu::for_each_block(ctx, count, [&](feaug::index_t block, int) {
    work(block * size, std::min(size, rows - block * size), block);
  });
  return count;
}

/// Number of blocks that sums are split into. Partial sums are added in block order.
inline constexpr index sum_blocks = 8;

/// Sums the partial matrices; work(first, count, partial) adds to its block's partial.
template <class S, class Work>
matrix<S> sum_over_blocks(feaug::cpu_context& ctx, index rows, index sum_rows, index sum_cols,
                          const Work& work) {
  std::vector<matrix<S>> partial(static_cast<std::size_t>(sum_blocks),
                                 matrix<S>::Zero(sum_rows, sum_cols));
  const index used =
      for_each_block(ctx, rows, sum_blocks, [&](index first, index count, index block) {
        work(first, count, partial[static_cast<std::size_t>(block)]);
      });
  for (index block = 1; block < used; ++block)
    partial[0] += partial[static_cast<std::size_t>(block)];
  return std::move(partial[0]);
}

}  // namespace network
