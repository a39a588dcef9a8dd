// The slots that an operator's queries find in its support.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <cstdint>

#include "feaug/core/element.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/workspace.hpp"
#include "feaug/cpu/queue/nearest.hpp"
#include "feaug/queue/nearest.hpp"
#include "feaug/queue/support_rows.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// slots(i, rank) = the slot of that rank for query i; −1 if there is none, also for ranks beyond
/// the number of filled rows.
template <element T>
void find_neighbours(cpu_context& ctx, const support_rows<T>& support,
                     const matrix_view<const T>& queries,
                     const vector_view<const std::int64_t>& exclude_ids,
                     const matrix_view<index_t>& slots) {
  const index_t k = std::min(slots.cols(), support.filled());
  for (index_t i = 0; i < slots.rows(); ++i)
    std::fill(slots.row(i) + k, slots.row(i) + slots.cols(), -1);
  if (k == 0) return;
  matrix_view<index_t> found = slots;
  found.extents[1] = k;
  const nearest_options options = {.k = k, .exclude_ids = exclude_ids};
  if (support.in_queue()) {
    nearest(ctx, support.queue(), queries, {.indices = found}, options);
  } else {
    nearest(ctx, support.rows(), queries, {.indices = found}, options);
  }
}

// 1 MiB of slots at a time.
inline constexpr index_t found_at_once = index_t{1} << 17;

/// Calls act(first row, slots of a block of queries, one row each) until all queries are covered.
/// If slots are `given` (N × k), there is a single call; otherwise they are searched block by
/// block, so that any number of queries needs at most 1 MiB (or k slots).
template <element T, class Act>
void for_each_found(cpu_context& ctx, const support_rows<T>& support,
                    const matrix_view<const T>& queries,
                    const vector_view<const std::int64_t>& exclude_ids, index_t k,
                    const matrix_view<const index_t>& given, const Act& act) {
  if (given.data != nullptr) {
    act(index_t{0}, given);
    return;
  }
  const index_t rows = queries.rows();
  const index_t at_once = std::clamp<index_t>(found_at_once / k, 1, std::max<index_t>(rows, 1));
  workspace::scope scratch(ctx.workspace);
  auto* const memory = scratch.take<index_t>(at_once * k);
  for (index_t first = 0; first < rows; first += at_once) {
    const index_t count = std::min(at_once, rows - first);
    const matrix_view<index_t> slots(memory, count, k);
    vector_view<const std::int64_t> own = exclude_ids;
    if (!own.empty()) {
      own.data += first * own.strides[0];
      own.extents[0] = count;
    }
    find_neighbours<T>(ctx, support, queries.rows_from(first, count), own, slots);
    act(first, matrix_view<const index_t>(slots));
  }
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
