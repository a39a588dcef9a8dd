// The order in which the pairs of blocks of a symmetric contrast are processed.
//
// In rounds, by round-robin: within a round every block occurs in at most one pair, so that the
// worker of a pair has exclusive access to the sums of both blocks. The order of additions is the
// order of the rounds, for any number of threads. Or all at once, if every pair has sums of its
// own.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>

#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/parallel.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu::detail {

/// A pair of blocks; `second` can be a run of several adjacent blocks.
struct meeting {
  index_t first;
  index_t second;
  index_t seconds = 1;
};

/// The pairs of one round of the round-robin schedule of `blocks` blocks, by the circle method: the
/// last block stays, the others rotate. Each pair occurs once in blocks − 1 rounds (in `blocks`
/// rounds if their number is odd). Returns their number, at most blocks / 2.
inline index_t round_robin_round(index_t blocks, index_t round, meeting* meetings) {
  index_t count = 0;
  const index_t seats = blocks + blocks % 2;  // an odd number leaves one block idle
  const index_t circle = seats - 1;
  const auto meet = [&](index_t a, index_t b) {
    if (a < blocks && b < blocks)
      meetings[count++] = {.first = std::min(a, b), .second = std::max(a, b)};
  };
  meet(circle, round);
  for (index_t i = 1; i < seats / 2; ++i) meet((round + i) % circle, (round + circle - i) % circle);
  return count;
}

/// The number of pairs of blocks: of one side with itself (each pair once, and each block with
/// itself), or of two sides.
constexpr index_t meeting_count(index_t blocks, bool is_one_side) {
  return is_one_side ? blocks * (blocks + 1) / 2 : blocks * blocks;
}

/// Calls act(meeting, worker) for all pairs of blocks in rounds. Scratch: 24 bytes a block.
template <class Act>
void for_each_meeting_in_rounds(cpu_context& ctx, index_t blocks, bool is_one_side,
                                const Act& act) {
  workspace::scope scratch(ctx.workspace);
  auto* const meetings = scratch.take<meeting>(blocks);
  const auto run = [&](index_t count) {
    for_each_block(ctx, count, [&](index_t at, int worker) { act(meetings[at], worker); });
  };
  if (is_one_side) {
    for (index_t block = 0; block < blocks; ++block)
      meetings[block] = {.first = block, .second = block};
    run(blocks);
    for (index_t round = 0; round + 1 < blocks + blocks % 2; ++round)
      run(round_robin_round(blocks, round, meetings));
    return;
  }
  // If there are many blocks, each is paired with several adjacent blocks of the other side at
  // once; it is then packed and its sums are added less often.
  const index_t seconds = std::clamp<index_t>(blocks / 16, 1, 4);
  const index_t groups = (blocks + seconds - 1) / seconds;
  for (index_t round = 0; round < blocks; ++round) {
    for (index_t group = 0; group < groups; ++group) {
      const index_t second = group * seconds;
      meetings[group] = {.first = (group + round) % blocks,
                         .second = second,
                         .seconds = std::min(seconds, blocks - second)};
    }
    run(groups);
  }
}

/// Calls act(meeting, worker) for all pairs of blocks, in any order and at the same time. Scratch: 24
/// bytes a pair.
template <class Act>
void for_each_meeting_at_once(cpu_context& ctx, index_t blocks, bool is_one_side, const Act& act) {
  workspace::scope scratch(ctx.workspace);
  auto* const meetings = scratch.take<meeting>(meeting_count(blocks, is_one_side));
  index_t count = 0;
  for (index_t first = 0; first < blocks; ++first) {
    for (index_t second = is_one_side ? first : 0; second < blocks; ++second)
      meetings[count++] = {.first = first, .second = second};
  }
  for_each_block(ctx, count, [&](index_t at, int worker) { act(meetings[at], worker); });
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu::detail

#include "feaug/header_end.hpp"
