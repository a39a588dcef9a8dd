// The momentum network: parameters that follow the online network's slowly.
#pragma once

#include <algorithm>
#include <cstddef>
#include <ranges>
#include <span>
#include <string_view>

#include "feaug/core/element.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/parallel.hpp"
#include "feaug/step/momentum_update.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cpu {

/// All pairs in one go: what is shared among threads is a block of elements, not a tensor.
template <element T, element S>
void follow(cpu_context& ctx, std::span<const momentum_pair<T, S>> pairs, double momentum) {
  constexpr index_t block_elements = 1 << 15;
  const auto count = static_cast<index_t>(pairs.size());
  workspace::scope scratch(ctx.workspace);
  // Pair p has the blocks first[p] … first[p + 1] − 1.
  auto* const first = scratch.take<index_t>(count + 1);
  first[0] = 0;
  for (index_t p = 0; p < count; ++p) {
    const auto& target = pairs[static_cast<std::size_t>(p)].target;
    first[p + 1] = first[p] + (target.rows() * target.cols() + block_elements - 1) / block_elements;
  }
  for_each_block(ctx, first[count], [&](index_t block, int /*worker*/) {
    const index_t p = std::upper_bound(first, first + count + 1, block) - first - 1;
    const auto pair = feaug::detail::without_gaps(pairs[static_cast<std::size_t>(p)]);
    const index_t cols = pair.target.cols();
    index_t at = (block - first[p]) * block_elements;
    const index_t end = std::min(at + block_elements, pair.target.rows() * cols);
    while (at < end) {
      const index_t begin = at % cols;
      const index_t run = std::min(cols - begin, end - at);
      T* const target = pair.target.row(at / cols) + begin;
      const S* const online = pair.online.row(at / cols) + begin;
      for (index_t j = 0; j < run; ++j)
        target[j] = feaug::detail::followed(target[j], online[j], momentum);
      at += run;
    }
  });
}

}  // namespace cpu

/// target = momentum · target + (1 − momentum) · online for every pair, in one call for all of a
/// network's tensors (He et al., MoCo, arXiv 1911.05722; Tarvainen and Valpola, arXiv 1703.01780).
///
/// `pairs` is a vector, array or span of momentum_pair: matrices or vectors of any shapes, each
/// target of its online's shape. momentum from 0 (a copy: the target is not read) to 1 (the target
/// stays). Computed in double, rounded once to the target's type. There is no gradient: targets are
/// constants of a step. No target may share memory with any other view of the list. NaN or ∞ in an
/// element of either makes that element of the target NaN or ∞. Scratch: 8 bytes a pair.
template <detail::momentum_pairs Pairs>
void momentum_update(cpu_context& ctx, const Pairs& pairs, double momentum) {
  constexpr std::string_view op = "momentum_update";
  using pair_type = std::ranges::range_value_t<Pairs>;
  const std::span<const pair_type> all(std::ranges::data(pairs), std::ranges::size(pairs));
  check::within(op, "momentum", momentum, 0, 1);
  detail::momentum_arguments(op, all);
  cpu::follow(ctx, all, momentum);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
