// Finds the neighbours of a batch in a queue and computes a row from them.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "feaug/augment/neighbour_plan.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/finite.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/row_selection.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/parallel.hpp"
#include "feaug/cpu/core/rows.hpp"
#include "feaug/cpu/core/workspace.hpp"
#include "feaug/cpu/queue/nearest.hpp"
#include "feaug/cpu/queue/support_queue.hpp"
#include "feaug/queue/support_queue.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// A queue and the selection of neighbours in it.
template <element T>
struct neighbour_source {
  std::string_view op;
  const support_queue<T>& queue;
  feaug::detail::neighbour_plan plan;
  vector_view<const std::int64_t> exclude_ids;
  const std::optional<vector_view<const float>>& choice;  ///< empty: drawn from the key
};

/// The slots used for a row.
struct used_slots {
  const index_t* slots;
  index_t count;
};

// Slots found in one search: at most 4 MiB. Usually the whole batch.
inline constexpr index_t most_found_slots = 1 << 19;
// Features, and slots, of the neighbours whose nearest queries are searched at once.
inline constexpr index_t most_mutual_elements = 1 << 19;

/// Sets found slots of the rows from `begin` on to −1 if the `plan.mutual` nearest queries of the
/// slot's row, among all rows of x, do not include the row that found it.
template <element T>
void keep_mutual(cpu_context& ctx, const neighbour_source<T>& from, const matrix_view<const T>& x,
                 index_t begin, index_t count, index_t* found) {
  const index_t k = from.plan.k;
  const index_t cols = x.cols();
  const index_t nearest_queries = std::min(from.plan.mutual, x.rows());
  const index_t pairs = count * k;
  const index_t at_once =
      std::clamp<index_t>(most_mutual_elements / std::max(cols, nearest_queries), 1, pairs);
  workspace::scope scope(ctx.workspace);
  const matrix_view<T> neighbours(scope.take<T>(at_once * cols), at_once, cols);
  const matrix_view<index_t> queries(scope.take<index_t>(at_once * nearest_queries), at_once,
                                     nearest_queries);
  for (index_t first = 0; first < pairs; first += at_once) {
    const index_t here = std::min(at_once, pairs - first);
    for (index_t p = 0; p < here; ++p) {
      if (found[first + p] < 0) {
        std::fill_n(neighbours.row(p), cols, store<T>(0));
      } else {
        std::copy_n(from.queue.storage.row(found[first + p]), cols, neighbours.row(p));
      }
    }
    nearest(ctx, x, neighbours.rows_from(0, here), {.indices = queries.rows_from(0, here)},
            {.k = nearest_queries});
    for (index_t p = 0; p < here; ++p) {
      const index_t* mine = queries.row(p);
      const index_t row = begin + (first + p) / k;
      if (std::find(mine, mine + nearest_queries, row) == mine + nearest_queries)
        found[first + p] = -1;
    }
  }
}

/// found[(i − begin)·k …] = the slots used for row i, then −1.
template <element T>
void find_used_slots(cpu_context& ctx, const neighbour_source<T>& from,
                     const matrix_view<const T>& x, const random_key& key, index_t begin,
                     index_t count, index_t* found) {
  const index_t k = from.plan.k;
  std::fill_n(found, count * k, index_t{-1});
  const index_t filled = *from.queue.size;
  if (filled == 0) return;
  const index_t sought = std::min(k, filled);
  vector_view<const std::int64_t> exclude_ids = from.exclude_ids;
  if (!exclude_ids.empty()) {
    exclude_ids.data += begin * exclude_ids.strides[0];
    exclude_ids.extents[0] = count;
  }
  nearest(ctx, from.queue, x.rows_from(begin, count), {.indices = {found, count, sought, k}},
          {.k = sought, .exclude_ids = exclude_ids, .similarity = from.plan.similarity});
  if (from.plan.mutual > 0) keep_mutual(ctx, from, x, begin, count, found);
  for (index_t i = begin; i < begin + count; ++i) {
    float u = 0;
    if (from.plan.one_by_draw)
      u = from.choice.has_value() ? (*from.choice)[i] : draw_uniform(key, i, 0);
    feaug::detail::settle_neighbours(from.plan, u, found + (i - begin) * k);
  }
}

template <element T>
void refuse_missing(const neighbour_source<T>& from, const matrix_view<const T>& x,
                    const row_selection& selection, index_t begin, index_t count,
                    const index_t* found) {
  for (index_t i = begin; i < begin + count; ++i) {
    const bool missing = found[(i - begin) * from.plan.k] < 0 && selection.contains(i);
    if (!missing || !feaug::detail::is_finite(row_norm(x.row(i), x.cols()))) continue;
    const std::string row = " for row " + check::text(i);
    const std::string_view wanted = "a neighbour for every row, or neighbour_fallback::query";
    const auto& range = from.plan.similarity;
    if (from.plan.mutual > 0 || range.has_floor() || range.has_ceiling())
      check::fail(from.op, "queue", "every filled row passed over" + row, wanted);
    check::fail(from.op, "exclude_ids", "every filled row excluded" + row, wanted);
  }
}

/// Computes a row from the used slots: the unit vector of a single one, or the unit vector of the
/// trimmed mean of several unit vectors. `inverse` has room for one number a slot.
template <element T>
void make_row(const neighbour_source<T>& from, const used_slots& used, double* inverse,
              double* row) {
  const auto& storage = from.queue.storage;
  const index_t cols = storage.cols();
  for (index_t r = 0; r < used.count; ++r)
    inverse[r] = inverse_norm(row_norm(storage.row(used.slots[r]), cols), default_norm_eps);
  const index_t trim = from.plan.trim_of(used.count);
  for (index_t j = 0; j < cols; ++j) {
    row[j] = feaug::detail::trimmed_mean(used.count, trim, [&](index_t r) {
      return static_cast<double>(load(storage(used.slots[r], j))) * inverse[r];
    });
  }
  if (used.count == 1) return;
  const double scale = inverse_norm(row_norm(row, cols), default_norm_eps);
  for (index_t j = 0; j < cols; ++j) row[j] *= scale;
}

/// Calls use(i, used slots, row, worker) for every selected row. `row` is D doubles that `use` may
/// modify: the unit row computed from the neighbours, or unit(x_i) if there are none. Throws before
/// the first call if a row has no neighbour and the fallback is error. Scratch: 8·k bytes a row of
/// x, at most 4 MiB (or 8·k bytes); at most 8 MiB more for mutual neighbours; 8·(D + k) bytes a
/// thread; and that of nearest.
template <element T, class Use>
void for_each_neighbour(cpu_context& ctx, const neighbour_source<T>& from,
                        const matrix_view<const T>& x, const random_key& key,
                        const row_selection& selection, const Use& use) {
  const index_t k = from.plan.k;
  const index_t rows = x.rows();
  const index_t cols = x.cols();
  const index_t at_once = std::clamp<index_t>(most_found_slots / k, 1, rows);
  const bool refuses = from.plan.fallback == neighbour_fallback::error;
  workspace::scope scope(ctx.workspace);
  auto* found = scope.take<index_t>(at_once * k);
  const row_buffers<double> inverses(ctx, scope, k);
  const row_buffers<double> made(ctx, scope, cols);
  const auto find = [&](index_t begin, index_t count, bool may_refuse) {
    find_used_slots(ctx, from, x, key, begin, count, found);
    if (refuses && may_refuse) refuse_missing(from, x, selection, begin, count, found);
  };
  // A batch that needs several searches is searched twice, so that errors are thrown before any
  // output is written.
  for (index_t begin = 0; refuses && at_once < rows && begin < rows; begin += at_once)
    find(begin, std::min(at_once, rows - begin), true);
  for (index_t begin = 0; begin < rows; begin += at_once) {
    const index_t count = std::min(at_once, rows - begin);
    find(begin, count, at_once == rows);
    for_each_row_block(ctx, count, cols, [&](index_t first, index_t here, int worker) {
      for (index_t i = begin + first; i < begin + first + here; ++i) {
        if (!selection.contains(i)) continue;
        const index_t* slots = found + (i - begin) * k;
        const index_t used = std::find(slots, slots + k, index_t{-1}) - slots;
        double* row = made.of(worker);
        if (used > 0) {
          make_row(from, {slots, used}, inverses.of(worker), row);
        } else {
          const double inverse = inverse_norm(row_norm(x.row(i), cols), default_norm_eps);
          for (index_t j = 0; j < cols; ++j) row[j] = static_cast<double>(load(x(i, j))) * inverse;
        }
        use(i, used_slots{slots, used}, row, worker);
      }
    });
  }
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
