// Search with pruning: scores only rows that 8-bit products cannot exclude. Same results as
// exact_scan.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

#include "feaug/core/element.hpp"
#include "feaug/core/finite.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/cpu/core/parallel.hpp"
#include "feaug/cpu/core/workspace.hpp"
#include "feaug/cpu/queue/exact_scan.hpp"
#include "feaug/cpu/queue/pruned_query.hpp"
#include "feaug/cpu/queue/pruning/pruning_tile.hpp"
#include "feaug/cpu/queue/pruning/quantized_rows.hpp"
#include "feaug/cpu/queue/pruning/tile_shape.hpp"
#include "feaug/cpu/queue/score_rows.hpp"
#include "feaug/queue/queue_shadow.hpp"
#include "feaug/queue/ranking.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

// Memory of the queries in one search: at most 1.5 MiB of state, and the same for their codes.
inline constexpr index_t most_pruning_state = index_t{3} << 19;
// Codes of rows in one pass: 512 KiB, so that they stay in the second-level cache for all queries.
inline constexpr index_t most_row_codes = index_t{1} << 19;
// Codes of the queries that share a pass over the rows: 12 KiB, so that they stay in the
// first-level cache together with a block of rows.
inline constexpr index_t most_block_codes = 12 << 10;
// Below these sizes, scoring every row is faster than pruning.
inline constexpr index_t fewest_pruned_rows = 1024;
inline constexpr index_t fewest_pruned_features = 16;
// Quantizing rows for a single search pays off from this number of queries: a conversion of half is
// slower than those of the other types. Lists of more than a few neighbours exclude few of few rows.
template <element T>
inline constexpr index_t fewest_queries_to_code_for = std::same_as<T, half> ? 64 : 32;
inline constexpr index_t few_neighbours = 4;
inline constexpr index_t fewest_rows_to_code_for_more = 4096;

/// Whether pruning is likely to be faster than scoring every row. Depends only on shapes and on
/// whether the machine has a kernel that is faster than the double-precision products of the exact
/// scan.
template <element T>
bool is_worth_pruning(const cpu_context& ctx, const search_space<T>& space, index_t queries,
                      index_t k) {
  const index_t rows = space.rows.rows();
  if (usable(ctx.instructions) == instruction_set::portable || k > most_pruned_neighbours ||
      rows < fewest_pruned_rows || space.rows.cols() < fewest_pruned_features ||
      space.rows.cols() > most_pruned_features)
    return false;
  if (!space.shadow.empty()) return true;
  return queries >= fewest_queries_to_code_for<T> &&
         (k <= few_neighbours || rows >= fewest_rows_to_code_for_more);
}

/// A tile of queries in the layout of the kernel.
struct query_tile {
  std::int8_t* codes;
  std::int32_t offsets[pruning_queries];
  float bars[pruning_queries];  ///< slightly below the query's bar, for rounding
  float length_factors[pruning_queries];
  float error_factors[pruning_queries];
  index_t count;
};

/// A search for a number of queries whose state fits into scratch memory.
template <element T>
class pruned_search {
 public:
  /// Allocates each query's codes, its k best candidates and its waiting list.
  pruned_search(cpu_context& ctx, workspace::scope& scratch, const search_space<T>& space,
                const matrix_view<const T>& queries, index_t k,
                const vector_view<const std::int64_t>& exclude_ids)
      : ctx_(ctx),
        instructions_(usable(ctx.instructions)),
        space_(space),
        queries_(queries),
        exclude_ids_(exclude_ids),
        groups_(shadow_groups(queries.cols())) {
    const index_t rows = queries.rows();
    const index_t tiles = tile_count();
    queries_in_search_ = scratch.take<pruned_query>(rows);
    tiles_ = scratch.take<query_tile>(tiles);
    auto* const codes = scratch.take<std::int8_t>(tiles * tile_codes());
    auto* const kept = scratch.take<candidate>(rows * k);
    auto* const lowers = scratch.take<float>(rows * k);
    auto* const waiting = scratch.take<waiting_row>(rows * (k + most_waiting_rows));
    for_each_block(ctx, tiles, [&](index_t t, int) {
      query_tile& tile = tiles_[t];
      tile = {};
      tile.codes = codes + t * tile_codes();
      tile.count = std::min(pruning_queries, rows - t * pruning_queries);
      std::memset(tile.codes, 0, static_cast<std::size_t>(tile_codes()));
      for (index_t lane = 0; lane < pruning_queries; ++lane)
        tile.bars[lane] = std::numeric_limits<float>::infinity();
      for (index_t lane = 0; lane < tile.count; ++lane) {
        const index_t i = t * pruning_queries + lane;
        pruned_query& query = queries_in_search_[i];
        query = {kept + i * k, lowers + i * k, waiting + i * (k + most_waiting_rows), k};
        begin_query(i, query, tile, lane);
      }
    });
    // A block is a whole number of groups of the exact scan, which may have to take over. If there
    // are enough groups, at least eight blocks are made, for the threads.
    constexpr index_t tiles_a_group = query_lanes / pruning_queries;
    const index_t groups = (tiles + tiles_a_group - 1) / tiles_a_group;
    const index_t fitting = std::max<index_t>(1, most_block_codes / (tiles_a_group * tile_codes()));
    tiles_a_block_ = tiles_a_group * std::clamp<index_t>(groups / 8, 1, fitting);
    blocks_ = (tiles + tiles_a_block_ - 1) / tiles_a_block_;
    counts_ = scratch.take_filled<pruning_counts>(blocks_, {});
    const int workers = worker_count(ctx, blocks_);
    packed_size_ = std::min(scan_features, queries.cols()) * query_lanes;
    packed_ = scratch.take<double>(workers * packed_size_);
    dots_ = scratch.take<double>(workers * scan_rows * query_lanes);
  }

  /// Offers `count` rows from `first` on; they are the first rows of `shadow`.
  void offer(const queue_shadow& shadow, index_t first, index_t count) {
    for_each_block(ctx_, blocks_, [&](index_t block, int worker) {
      if (counts_[block].given_up == 0) prune_block(block, worker, shadow, first, count);
    });
  }

  [[nodiscard]] bool is_given_up() const {
    return std::all_of(counts_, counts_ + blocks_,
                       [](const pruning_counts& of_block) { return of_block.given_up > 0; });
  }

  template <class Found>
  void finish(index_t first_query, const Found& found) {
    for_each_block(ctx_, blocks_, [&](index_t block, int) {
      for_each_query(block, [&](index_t i, pruned_query& query) {
        if (counts_[block].given_up == 0)
          counts_[block].scored += query.score_waiting(instructions_, space_, queries_.row(i));
        scanned_query& scanned = query.scanned();
        found(first_query + i, scanned.best.ranked(), scanned.norm);
      });
    });
  }

  void add_counts(pruning_counts& to) const {
    for (index_t block = 0; block < blocks_; ++block) {
      to.met += counts_[block].met;
      to.scored += counts_[block].scored;
      to.given_up += counts_[block].given_up;
    }
  }

 private:
  [[nodiscard]] index_t tile_count() const {
    return (queries_.rows() + pruning_queries - 1) / pruning_queries;
  }
  [[nodiscard]] index_t tile_codes() const { return groups_ * pruning_queries * shadow_group; }

  template <class Act>
  void for_each_query(index_t block, const Act& act) {
    const index_t a_block = tiles_a_block_ * pruning_queries;
    const index_t begin = block * a_block;
    const index_t end = std::min(begin + a_block, queries_.rows());
    for (index_t i = begin; i < end; ++i) act(i, queries_in_search_[i]);
  }

  void begin_query(index_t i, pruned_query& query, query_tile& tile, index_t lane) {
    std::int8_t* const codes = tile.codes + lane * shadow_group;
    const std::int32_t sum =
        query.begin(queries_.row(i), queries_.cols(), space_.similarity,
                    [codes](index_t group, const std::uint8_t* four) {
                      std::int8_t* const to = codes + group * pruning_queries * shadow_group;
                      for (index_t j = 0; j < shadow_group; ++j)
                        to[j] = static_cast<std::int8_t>(static_cast<int>(four[j]) - 128);
                    });
    tile.offsets[lane] = -128 * sum;
    if (!query.is_finite()) return;  // its bar stays infinite
    tile.length_factors[lane] = query.length_factor();
    tile.error_factors[lane] = query.error_factor();
    tile.bars[lane] = below(static_cast<double>(query.bar()));
  }

  void prune_block(index_t block, int worker, const queue_shadow& shadow, index_t first,
                   index_t count) {
    pruning_counts& done = counts_[block];
    const index_t begin_tile = block * tiles_a_block_;
    const index_t end_tile = std::min(begin_tile + tiles_a_block_, tile_count());
    for (index_t row = 0; row < count; row += shadow_block_rows) {
      const shadow_block rows = block_of(shadow, row / shadow_block_rows, queries_.cols());
      const index_t here = std::min(shadow_block_rows, count - row);
      const float length = largest_of(rows.lengths, here);
      const float error = largest_of(rows.errors, here);
      const std::uint32_t filled = ~std::uint32_t{0} >> (shadow_block_rows - here);
      for (index_t t = begin_tile; t < end_tile; ++t) {
        query_tile& tile = tiles_[t];
        std::array<float, pruning_queries> thresholds;
        for (index_t lane = 0; lane < pruning_queries; ++lane) {
          thresholds[static_cast<std::size_t>(lane)] =
              tile.bars[lane] -
              (tile.length_factors[lane] * length + tile.error_factors[lane] * error);
        }
        alignas(64) std::array<std::int32_t, pruning_queries * shadow_block_rows> products;
        std::array<std::uint32_t, pruning_queries> hits;
        prune_tile(
            instructions_,
            {.rows = rows.codes, .queries = tile.codes, .offsets = tile.offsets, .groups = groups_},
            rows.scales, thresholds.data(), products.data(), hits.data());
        for (index_t lane = 0; lane < tile.count; ++lane) {
          const std::uint32_t hit = hits[static_cast<std::size_t>(lane)] & filled;
          if (hit != 0)
            meet(t, lane, first + row, hit, products.data() + lane * shadow_block_rows, rows, done);
        }
      }
      if (is_too_dear(block, done, first + row + here)) {
        give_up(block, worker, first + row + here);
        return;
      }
    }
  }

  void meet(index_t t, index_t lane, index_t first, std::uint32_t hit, const std::int32_t* products,
            const shadow_block& rows, pruning_counts& done) {
    const index_t i = t * pruning_queries + lane;
    pruned_query& query = queries_in_search_[i];
    if (!query.is_finite()) return;
    for (; hit != 0; hit &= hit - 1) {
      const index_t r = std::countr_zero(hit);
      const index_t slot = first + r;
      ++done.met;
      if (!exclude_ids_.empty() && space_.ids[slot] == exclude_ids_[i]) continue;
      const bool is_full = query.meet(slot, static_cast<float>(products[r]) * rows.scales[r],
                                      rows.lengths[r], rows.errors[r]);
      if (is_full && !query.forget_some())
        done.scored += query.score_waiting(instructions_, space_, queries_.row(i));
    }
    tiles_[t].bars[lane] = below(static_cast<double>(query.bar()));
  }

  // Estimated cost in clock cycles: scoring one row about 1.5 · D, processing a row that its block
  // did not exclude about 64, a row's share of the exact scan D / 3. Half of the exact scan's cost
  // may be spent, plus a small allowance for the beginning, when there is no bar yet. Beyond this
  // limit the exact scan takes over for the remaining rows, so that a search never takes much
  // longer than the exact scan alone.
  [[nodiscard]] bool is_too_dear(index_t block, const pruning_counts& done, index_t rows) const {
    constexpr index_t meeting = 64;
    const index_t features = queries_.cols();
    const index_t a_block = tiles_a_block_ * pruning_queries;
    const index_t queries = std::min(a_block, queries_.rows() - block * a_block);
    const index_t allowed =
        (rows / 8 + space_.rows.rows() / 64) * features + shadow_block_rows * meeting;
    return done.scored * features + done.met * meeting > queries * allowed;
  }

  void give_up(index_t block, int worker, index_t next_row) {
    for_each_query(block, [&](index_t i, pruned_query& query) {
      ++counts_[block].given_up;
      counts_[block].scored += query.score_waiting(instructions_, space_, queries_.row(i));
    });
    const index_t a_block = tiles_a_block_ * pruning_queries;
    const index_t end = std::min((block + 1) * a_block, queries_.rows());
    const scan_scratch scratch = {.instructions = instructions_,
                                  .packed = packed_ + worker * packed_size_,
                                  .dots = dots_ + worker * scan_rows * query_lanes,
                                  .candidates = nullptr};
    std::array<scanned_query, query_lanes> scanned = {};
    for (index_t begin = block * a_block; begin < end; begin += query_lanes) {
      const index_t count = std::min(query_lanes, end - begin);
      for (index_t lane = 0; lane < count; ++lane)
        scanned[static_cast<std::size_t>(lane)] = queries_in_search_[begin + lane].scanned();
      offer_rows(space_, queries_, begin, count, next_row, exclude_ids_, scratch, scanned.data());
      for (index_t lane = 0; lane < count; ++lane)
        queries_in_search_[begin + lane].scanned() = scanned[static_cast<std::size_t>(lane)];
    }
  }

  cpu_context& ctx_;
  instruction_set instructions_;
  const search_space<T>& space_;
  matrix_view<const T> queries_;
  vector_view<const std::int64_t> exclude_ids_;
  index_t groups_;
  pruned_query* queries_in_search_ = nullptr;
  query_tile* tiles_ = nullptr;
  index_t tiles_a_block_ = 1;
  index_t blocks_ = 0;
  pruning_counts* counts_ = nullptr;
  index_t packed_size_ = 0;
  double* packed_ = nullptr;
  double* dots_ = nullptr;
};

/// Quantizes `count` rows of a space from `first` on, into the first rows of a shadow.
template <element T>
void code_rows(cpu_context& ctx, const search_space<T>& space, index_t first, index_t count,
               const queue_shadow& shadow) {
  for_each_row_block(ctx, count, space.rows.cols(), [&](index_t begin, index_t here, int) {
    for (index_t r = begin; r < begin + here; ++r) {
      write_shadow_row(shadow, r, space.rows.row(first + r), space.rows.cols(),
                       inverse_norm_of(space, first + r));
    }
  });
}

/// Like exact_scan, for k ≤ most_pruned_neighbours and D ≤ most_pruned_features. Without a
/// shadow, rows are quantized in chunks. Limited by the 8-bit products, N·M·D, as long as few rows
/// have to be scored. Scratch: at most 4 MiB, and 96 KiB a thread.
template <element T, class Found>
void pruned_scan(cpu_context& ctx, const search_space<T>& space,
                 const matrix_view<const T>& queries, index_t k,
                 const vector_view<const std::int64_t>& exclude_ids, const Found& found,
                 pruning_counts* counts = nullptr) {
  const index_t rows = space.rows.rows();
  const index_t features = space.rows.cols();
  const index_t state = static_cast<index_t>(sizeof(pruned_query)) + 20 * k +
                        static_cast<index_t>(sizeof(waiting_row)) * (k + most_waiting_rows);
  const index_t fitting = std::min(most_pruning_state / state,
                                   most_pruning_state / (shadow_groups(features) * shadow_group));
  const index_t parts = (queries.rows() + fitting - 1) / fitting;
  const index_t at_once = parts == 0 ? 0 : (queries.rows() + parts - 1) / parts;
  workspace::scope scratch(ctx.workspace);
  const index_t chunk =
      std::clamp<index_t>(most_row_codes / shadow_block_codes(features), 1, shadow_blocks(rows)) *
      shadow_block_rows;
  const bool has_shadow = !space.shadow.empty();
  queue_shadow own_shadow = {};
  if (!has_shadow) {
    own_shadow = {.codes = {scratch.take<std::uint8_t>(shadow_codes(chunk, features)),
                            shadow_codes(chunk, features)},
                  .bounds = {scratch.take<float>(shadow_bounds(chunk)), shadow_bounds(chunk)}};
  }
  for (index_t begin = 0; begin < queries.rows(); begin += at_once) {
    const index_t count = std::min(at_once, queries.rows() - begin);
    workspace::scope of_part(ctx.workspace);
    vector_view<const std::int64_t> own = exclude_ids;
    if (!own.empty()) {
      own.data += begin * own.strides[0];
      own.extents[0] = count;
    }
    pruned_search<T> search(ctx, of_part, space, queries.rows_from(begin, count), k, own);
    for (index_t first = 0; first < rows && !search.is_given_up(); first += chunk) {
      const index_t here = std::min(chunk, rows - first);
      if (!has_shadow) code_rows(ctx, space, first, here, own_shadow);
      search.offer(
          has_shadow ? shadow_from(space.shadow, first / shadow_block_rows, features) : own_shadow,
          first, here);
    }
    search.finish(begin, found);
    if (counts != nullptr) search.add_counts(*counts);
  }
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
