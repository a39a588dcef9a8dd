// A search with pruning for some queries: their state, and the rows that it excludes, compares and
// scores.
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
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/cpu/core/l2_norm.hpp"
#include "feaug/cpu/core/parallel.hpp"
#include "feaug/cpu/core/scratch_array.hpp"
#include "feaug/cpu/core/workspace.hpp"
#include "feaug/cpu/queue/coded_rows.hpp"
#include "feaug/cpu/queue/exact_scan.hpp"
#include "feaug/cpu/queue/pruned_query.hpp"
#include "feaug/cpu/queue/pruning/principal_subspace.hpp"
#include "feaug/cpu/queue/pruning/pruning_tile.hpp"
#include "feaug/cpu/queue/pruning/quantized_rows.hpp"
#include "feaug/cpu/queue/pruning/tile_shape.hpp"
#include "feaug/cpu/queue/score_rows.hpp"
#include "feaug/queue/queue_shadow.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

// Codes of the queries that share a pass over the rows: 24 KiB, so that they stay in the
// first-level cache together with a block of rows.
inline constexpr index_t most_block_codes = 24 << 10;
// Projecting rows pays off while at most one row in 50 is left.
inline constexpr index_t few_met_of = 50;

/// A tile of queries in the layout of the kernel.
struct query_tile {
  std::int8_t* codes;
  std::int32_t offsets[pruning_queries];
  /// ∞ for lanes without a query; slightly below the query's bar, for rounding.
  float bars[pruning_queries];
  float length_factors[pruning_queries];
  float error_factors[pruning_queries];
  float rest_factors[pruning_queries];
  index_t count;
};

/// A search for a number of queries whose state fits into scratch memory.
template <element T>
class pruned_search {
 public:
  /// Allocates each query's codes, its k best candidates and its waiting list.
  pruned_search(cpu_context& ctx, workspace::scope& scratch, const search_space<T>& space,
                const matrix_view<const T>& queries, index_t k,
                const vector_view<const std::int64_t>& exclude_ids,
                const principal_subspace& subspace)
      : ctx_(ctx),
        instructions_(usable(ctx.instructions)),
        space_(space),
        queries_(queries),
        exclude_ids_(exclude_ids),
        subspace_(subspace),
        groups_(shadow_groups(subspace.empty() ? queries.cols() : subspace.features)) {
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
        queries_in_search_[i] = {kept + i * k, lowers + i * k,
                                 waiting + i * (k + most_waiting_rows), k};
      }
    });
    code_queries();
    // If there are enough tiles, at least eight blocks are made, for the threads.
    const index_t fitting = std::max<index_t>(1, most_block_codes / tile_codes());
    tiles_a_block_ = std::clamp<index_t>(tiles / 8, 1, fitting);
    blocks_ = (tiles + tiles_a_block_ - 1) / tiles_a_block_;
    counts_ = scratch.take_filled<pruning_counts>(blocks_, {});
    next_rows_ = scratch.take_filled<index_t>(blocks_, none);
    const int workers = worker_count(ctx, blocks_);
    packed_size_ = std::min(scan_features, queries.cols()) * query_lanes;
    packed_ = scratch.take<double>(workers * packed_size_);
    dots_ = scratch.take<double>(workers * scan_rows * query_lanes);
  }

  /// Raises the bars by the lower bounds of the scores of the first `count` rows, which are offered
  /// afterwards: otherwise every query meets its first rows.
  void sample(const coded_rows& coded, index_t count) {
    // Rows that are excluded must not raise a bar.
    if (!exclude_ids_.empty() || space_.similarity.has_ceiling()) return;
    for_each_block(ctx_, blocks_, [&](index_t block, int) { sample_block(block, coded, count); });
  }

  /// Offers `count` rows from `first` on; they are the first of `coded`. Before the exact scan
  /// takes over for some queries, it calls prepare(), which must make the space ready for it.
  template <class Prepare>
  void offer(const coded_rows& coded, index_t first, index_t count, const Prepare& prepare) {
    for_each_block(ctx_, blocks_, [&](index_t block, int) {
      if (counts_[block].given_up == 0) prune_block(block, coded, first, count);
    });
    const auto waits = [](index_t row) { return row != none; };
    if (std::none_of(next_rows_, next_rows_ + blocks_, waits)) return;
    prepare();
    for_each_block(ctx_, blocks_, [&](index_t block, int worker) {
      if (waits(next_rows_[block])) give_up(block, worker, next_rows_[block]);
      next_rows_[block] = none;
    });
  }

  [[nodiscard]] bool is_given_up() const {
    return std::all_of(counts_, counts_ + blocks_,
                       [](const pruning_counts& of_block) { return of_block.given_up > 0; });
  }

  /// Whether few of the first `rows` rows had to be compared one by one.
  [[nodiscard]] bool excludes_most(index_t rows) const {
    pruning_counts all;
    add_counts(all);
    return all.given_up == 0 && all.met * few_met_of <= queries_.rows() * rows;
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
  static constexpr index_t none = -1;

  [[nodiscard]] index_t tile_count() const {
    return (queries_.rows() + pruning_queries - 1) / pruning_queries;
  }
  [[nodiscard]] index_t end_tile(index_t block) const {
    return std::min((block + 1) * tiles_a_block_, tile_count());
  }
  [[nodiscard]] index_t tile_codes() const { return pruning_codes(groups_); }

  template <class Act>
  void for_each_query(index_t block, const Act& act) {
    const index_t a_block = tiles_a_block_ * pruning_queries;
    const index_t begin = block * a_block;
    const index_t end = std::min(begin + a_block, queries_.rows());
    for (index_t i = begin; i < end; ++i) act(i, queries_in_search_[i]);
  }

  /// Quantizes the queries, or their projections.
  void code_queries() {
    const index_t cols = queries_.cols();
    if constexpr (std::same_as<compute_t<T>, float>) {
      if (!subspace_.empty()) {
        workspace::scope scope(ctx_.workspace);
        const scratch_array<projection_scratch> scratch(
            scope, worker_count(ctx_, tile_count()),
            [&] { return take_projection_scratch(scope, cols); });
        return for_each_block(ctx_, tile_count(), [&](index_t t, int worker) {
          for (index_t lane = 0; lane < tiles_[t].count; ++lane) {
            const index_t i = t * pruning_queries + lane;
            const double norm = row_norm(queries_.row(i), cols);
            const double inverse = inverse_norm(norm, default_norm_eps);
            const double rest =
                project(subspace_, instructions_, queries_, i, 1, &inverse, scratch[worker]);
            begin_query<float>(i, {.vector = scratch[worker].projected,
                                   .cols = subspace_.features,
                                   .scale = 1.0 / inverse,
                                   .error = subspace_.error,
                                   .rest = 2 * rest});
          }
        });
      }
    }
    for_each_block(ctx_, tile_count(), [&](index_t t, int) {
      for (index_t lane = 0; lane < tiles_[t].count; ++lane) {
        const index_t i = t * pruning_queries + lane;
        begin_query<T>(i, {.vector = queries_.row(i), .cols = cols});
      }
    });
  }

  template <element E>
  void begin_query(index_t i, const coded_query<E>& from) {
    query_tile& tile = tiles_[i / pruning_queries];
    const index_t lane = i % pruning_queries;
    pruned_query& query = queries_in_search_[i];
    const std::int32_t sum =
        query.begin(instructions_, queries_.row(i), queries_.cols(), from, space_.similarity,
                    [&tile, lane](index_t group, const std::uint8_t* four) {
                      std::int8_t* const to = tile.codes + pruning_code(group, lane);
                      for (index_t j = 0; j < shadow_group; ++j)
                        to[j] = static_cast<std::int8_t>(static_cast<int>(four[j]) - 128);
                    });
    tile.offsets[lane] = -128 * sum;
    if (!query.is_finite()) return;  // its bar stays infinite
    tile.length_factors[lane] = query.length_factor();
    tile.error_factors[lane] = query.error_factor();
    tile.rest_factors[lane] = query.rest_factor();
    tile.bars[lane] = below(static_cast<double>(query.bar()));
  }

  [[nodiscard]] pruning_operands operands(const query_tile& tile, const coded_rows& coded,
                                          index_t first_block, index_t end_block) const {
    return {.rows = block_of(coded.shadow, first_block, coded.features).codes,
            .queries = tile.codes,
            .offsets = tile.offsets,
            .groups = groups_,
            .blocks = std::min(pruning_blocks, end_block - first_block)};
  }

  void sample_block(index_t block, const coded_rows& coded, index_t count) {
    alignas(64) std::array<std::int32_t, pruning_blocks * pruning_products> products;
    alignas(64) std::array<float, pruning_products> maxima;
    const tile_pruner pruner(instructions_);
    // Whole blocks: the others may have rows that are not filled.
    const index_t end = count / shadow_block_rows;
    for (index_t t = block * tiles_a_block_; t < end_tile(block); ++t) {
      query_tile& tile = tiles_[t];
      std::array<float, pruning_queries> length_factors;
      for (index_t lane = 0; lane < pruning_queries; ++lane)
        length_factors[static_cast<std::size_t>(lane)] =
            tile.length_factors[lane] + tile.rest_factors[lane] * coded.rest;
      maxima.fill(-std::numeric_limits<float>::infinity());
      for (index_t first = 0; first < end; first += pruning_blocks) {
        const pruning_operands of_tile = operands(tile, coded, first, end);
        pruner.multiply(of_tile, products.data());
        for (index_t b = 0; b < of_tile.blocks; ++b) {
          const shadow_block rows = block_of(coded.shadow, first + b, coded.features);
          pruner.raise(of_tile,
                       {.length_factors = length_factors.data(),
                        .error_factors = tile.error_factors,
                        .scales = rows.scales,
                        .lengths = rows.lengths,
                        .errors = rows.errors},
                       products.data() + b * pruning_products, maxima.data());
        }
      }
      for (index_t lane = 0; lane < tile.count; ++lane) {
        pruned_query& query = queries_in_search_[t * pruning_queries + lane];
        if (!query.is_finite()) continue;
        query.raise_bar(maxima.data() + lane * shadow_block_rows, shadow_block_rows);
        tile.bars[lane] = below(static_cast<double>(query.bar()));
      }
    }
  }

  void prune_block(index_t block, const coded_rows& coded, index_t first, index_t count) {
    pruning_counts& done = counts_[block];
    alignas(64) std::array<std::int32_t, pruning_blocks * pruning_products> products;
    std::array<std::uint32_t, pruning_queries> hits;
    met_rows met;
    const tile_pruner pruner(instructions_);
    const index_t end = shadow_blocks(count);
    for (index_t first_block = 0; first_block < end; first_block += pruning_blocks) {
      std::array<block_bounds, pruning_blocks> bounds;
      for (index_t b = 0; b < std::min(pruning_blocks, end - first_block); ++b)
        bounds[static_cast<std::size_t>(b)] = bounds_of(coded, first_block + b, count);
      for (index_t t = block * tiles_a_block_; t < end_tile(block); ++t) {
        const query_tile& tile = tiles_[t];
        const pruning_operands of_tile = operands(tile, coded, first_block, end);
        pruner.multiply(of_tile, products.data());
        for (index_t b = 0; b < of_tile.blocks; ++b) {
          const block_bounds& of_rows = bounds[static_cast<std::size_t>(b)];
          std::int32_t* const of_block = products.data() + b * pruning_products;
          std::uint32_t lanes = pruner.find(of_tile,
                                            {.bars = tile.bars,
                                             .length_factors = tile.length_factors,
                                             .error_factors = tile.error_factors,
                                             .length = of_rows.length,
                                             .error = of_rows.error,
                                             .scales = of_rows.rows.scales,
                                             .filled = of_rows.filled},
                                            {.products = of_block, .hits = hits.data()});
          for (; lanes != 0; lanes &= lanes - 1) {
            const index_t lane = std::countr_zero(lanes);
            if (lane >= tile.count) break;
            meet(t * pruning_queries + lane, first + (first_block + b) * shadow_block_rows,
                 hits[static_cast<std::size_t>(lane)], of_block + lane * shadow_block_rows,
                 of_rows.rows, coded.rest, met, done);
          }
        }
      }
      meet_all(met, done);
      const index_t next = std::min(count, (first_block + pruning_blocks) * shadow_block_rows);
      if (is_too_dear(block, done, first + next)) {
        counts_[block].given_up = queries_in(block);
        next_rows_[block] = first + next;
        return;
      }
    }
  }

  /// A block of rows, and the largest of its bounds.
  struct block_bounds {
    shadow_block rows;
    float length;
    float error;
    std::uint32_t filled;
  };

  /// Of a block of `count` rows.
  [[nodiscard]] block_bounds bounds_of(const coded_rows& coded, index_t block,
                                       index_t count) const {
    const shadow_block rows = block_of(coded.shadow, block, coded.features);
    const index_t here = std::min(shadow_block_rows, count - block * shadow_block_rows);
    return {.rows = rows,
            .length = largest_of(rows.lengths, here),
            .error = largest_of(rows.errors, here),
            .filled = ~std::uint32_t{0} >> (shadow_block_rows - here)};
  }

  /// Rows that 8-bit products do not exclude. They are compared together, when their features have
  /// come from memory.
  struct met_row {
    index_t query;
    index_t slot;
    typename pruned_query::score_bounds bounds;
    float length;
  };
  struct met_rows {
    static constexpr index_t most = 64;
    std::array<met_row, std::size_t{most}> rows;
    index_t count = 0;
  };

  void meet(index_t i, index_t first, std::uint32_t hit, const std::int32_t* products,
            const shadow_block& rows, float rest, met_rows& met, pruning_counts& done) {
    const pruned_query& query = queries_in_search_[i];
    if (!query.is_finite()) return;
    for (; hit != 0; hit &= hit - 1) {
      const index_t r = std::countr_zero(hit);
      const index_t slot = first + r;
      ++done.met;
      if (!exclude_ids_.empty() && space_.ids[slot] == exclude_ids_[i]) continue;
      const auto bounds = query.bounds(static_cast<float>(products[r]) * rows.scales[r],
                                       rows.lengths[r], rows.errors[r], rest);
      if (query.excludes(bounds)) continue;
      prefetch(space_.rows.row(slot));
      met.rows[static_cast<std::size_t>(met.count++)] = {i, slot, bounds, rows.lengths[r]};
      if (met.count == met_rows::most) meet_all(met, done);
    }
  }

  void meet_all(met_rows& met, pruning_counts& done) {
    for (index_t at = 0; at < met.count; ++at) {
      const met_row& row = met.rows[static_cast<std::size_t>(at)];
      pruned_query& query = queries_in_search_[row.query];
      if (query.excludes(row.bounds)) continue;
      const T* const features = queries_.row(row.query);
      const auto bounds =
          query.refined(instructions_, space_, features, row.slot, row.length, row.bounds);
      if (query.excludes(bounds)) continue;
      const bool is_full = query.wait(row.slot, bounds);
      if (is_full && !query.forget_some())
        done.scored += query.score_waiting(instructions_, space_, features);
      tiles_[row.query / pruning_queries].bars[row.query % pruning_queries] =
          below(static_cast<double>(query.bar()));
    }
    met.count = 0;
  }

  void prefetch([[maybe_unused]] const T* row) const {
#if defined(__GNUC__)
    constexpr index_t line = 64 / sizeof(T);
    // The hardware fetches the next ones of longer rows.
    const index_t features = std::min(queries_.cols(), 16 * line);
    for (index_t j = 0; j < features; j += line) __builtin_prefetch(row + j);
#endif
  }

  // Estimated cost in clock cycles: scoring one row about 1.5 · D, processing a row that its block
  // did not exclude about 64, a row's share of the exact scan D / 3. Half of the exact scan's cost
  // may be spent, plus a small allowance for the beginning, when there is no bar yet. Beyond this
  // limit the exact scan takes over for the remaining rows, so that a search never takes much
  // longer than the exact scan alone.
  [[nodiscard]] bool is_too_dear(index_t block, const pruning_counts& done, index_t rows) const {
    const index_t features = queries_.cols();
    const index_t meeting = 64 + features / 8;
    const index_t allowed =
        (rows / 8 + space_.rows.rows() / 64) * features + shadow_block_rows * meeting;
    return done.scored * features + done.met * meeting > queries_in(block) * allowed;
  }

  [[nodiscard]] index_t queries_in(index_t block) const {
    const index_t a_block = tiles_a_block_ * pruning_queries;
    return std::min(a_block, queries_.rows() - block * a_block);
  }

  void give_up(index_t block, int worker, index_t next_row) {
    for_each_query(block, [&](index_t i, pruned_query& query) {
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
  principal_subspace subspace_;
  index_t groups_;
  pruned_query* queries_in_search_ = nullptr;
  query_tile* tiles_ = nullptr;
  index_t tiles_a_block_ = 1;
  index_t blocks_ = 0;
  pruning_counts* counts_ = nullptr;
  // Where the exact scan takes over; none: it does not, or has done so.
  index_t* next_rows_ = nullptr;
  index_t packed_size_ = 0;
  double* packed_ = nullptr;
  double* dots_ = nullptr;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
