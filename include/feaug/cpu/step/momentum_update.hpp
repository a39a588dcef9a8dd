// CPU implementation of momentum_update: the exponential moving average of parameters (momentum
// network).
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <cstddef>
#include <span>

#include "feaug/core/element.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/parallel.hpp"
#include "feaug/cpu/core/workspace.hpp"
#include "feaug/step/momentum_update.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// All pairs in one parallel loop: threads share blocks of elements, not tensors. Limited by memory
/// bandwidth: two reads and one write an element. Scratch: 64 bytes a pair.
template <>
struct detail::momentum_update_on<cpu_context> {
  template <class Check>
  static void with_places(cpu_context& ctx, std::size_t pairs, const Check& check) {
    workspace::scope scratch(ctx.workspace);
    check(scratch.take<momentum_place>(2 * static_cast<index_t>(pairs)));
  }

  template <element T, element S>
  static void run(cpu_context& ctx, std::span<const momentum_pair<T, S>> pairs, double momentum) {
    constexpr index_t block_elements = 1 << 15;
    const auto count = static_cast<index_t>(pairs.size());
    workspace::scope scratch(ctx.workspace);
    // Pair p has the blocks first[p] … first[p + 1] − 1.
    auto* const first = scratch.take<index_t>(count + 1);
    first[0] = 0;
    for (index_t p = 0; p < count; ++p) {
      const auto& target = pairs[static_cast<std::size_t>(p)].target;
      first[p + 1] =
          first[p] + (target.rows() * target.cols() + block_elements - 1) / block_elements;
    }
    cpu::for_each_block(ctx, first[count], [&](index_t block, int /*worker*/) {
      const index_t p = std::upper_bound(first, first + count + 1, block) - first - 1;
      const auto pair = without_gaps(pairs[static_cast<std::size_t>(p)]);
      const index_t cols = pair.target.cols();
      index_t at = (block - first[p]) * block_elements;
      const index_t end = std::min(at + block_elements, pair.target.rows() * cols);
      while (at < end) {
        const index_t begin = at % cols;
        const index_t length = std::min(cols - begin, end - at);
        T* const target = pair.target.row(at / cols) + begin;
        const S* const online = pair.online.row(at / cols) + begin;
        for (index_t j = 0; j < length; ++j) target[j] = followed(target[j], online[j], momentum);
        at += length;
      }
    });
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
