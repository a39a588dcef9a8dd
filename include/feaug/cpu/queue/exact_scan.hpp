// Exact search: scores every support row for every query. N·M·D multiply-adds in double.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "feaug/core/element.hpp"
#include "feaug/core/finite.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/cpu/core/parallel.hpp"
#include "feaug/cpu/core/workspace.hpp"
#include "feaug/cpu/queue/score_rows.hpp"
#include "feaug/cpu/queue/top_k.hpp"
#include "feaug/queue/queue_shadow.hpp"
#include "feaug/queue/ranking.hpp"
#include "feaug/queue/similarity_range.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// The rows to search, M × D.
template <element T>
struct search_space {
  matrix_view<const T> rows;
  bool unit = false;  ///< whether the stored rows are unit rows
  /// M elements, for rows that are not unit rows; null: computed for each row when it is scored.
  const double* inverse_norms = nullptr;
  vector_view<const std::int64_t> ids = {};  ///< M elements, if queries exclude by id
  similarity_range similarity = {};          ///< the range of rows that may be found
  queue_shadow shadow = {};                  ///< of the rows, if there is one
};

// A tile of rows is multiplied with a chunk of packed queries: at most 64 KiB of queries and 32 KiB
// of products a worker, for any D and M.
inline constexpr index_t scan_features = 512;
inline constexpr index_t scan_rows = 256;
// The number of candidates a worker keeps (256 KiB). For larger k fewer queries share a pass; the k
// candidates of one query are always kept.
inline constexpr index_t scan_candidates = 16384;

/// The factor of the dot products with a row.
template <element T>
double inverse_norm_of(const search_space<T>& space, index_t slot) {
  if (space.unit) return 1.0;
  if (space.inverse_norms != nullptr) return space.inverse_norms[slot];
  return inverse_norm(row_norm(space.rows.row(slot), space.rows.cols()), default_norm_eps);
}

/// The instruction set and the scratch memory of one worker.
struct scan_scratch {
  instruction_set instructions;
  double* packed;         ///< features of a chunk × query_lanes
  double* dots;           ///< scan_rows × query_lanes
  candidate* candidates;  ///< queries of a group × k
};

/// dots[row · query_lanes + lane]: dot products of `count` queries with the rows of a tile, summed
/// over all features in index order, chunk by chunk. If all features fit into one chunk, queries
/// are packed only for the first tile.
template <element T>
void score_tile(const matrix_view<const T>& queries, index_t begin, index_t count,
                const matrix_view<const T>& rows, bool first_tile, const scan_scratch& scratch) {
  std::fill_n(scratch.dots, rows.rows() * query_lanes, 0.0);
  for (index_t chunk = 0; chunk < rows.cols(); chunk += scan_features) {
    const index_t features = std::min(scan_features, rows.cols() - chunk);
    if (first_tile || rows.cols() > scan_features) {
      pack_queries(queries, begin, count, chunk, features, scratch.packed);
    }
    add_dots(scratch.instructions, scratch.packed, rows.row(0) + chunk, rows.row_stride(),
             rows.rows(), features, scratch.dots);
  }
}

/// The state of a query during the scan.
struct scanned_query {
  double norm = 0;
  top_k best = {};

  /// A row with a lower score is not found. NaN: every row may be.
  [[nodiscard]] double bar() const {
    if (!feaug::detail::is_finite(norm)) return std::numeric_limits<double>::infinity();
    return best.is_full() ? best.last().score : std::numeric_limits<double>::quiet_NaN();
  }
};

/// Offers the rows from `first_row` on to `count` ≤ query_lanes queries, starting at query `begin`.
template <element T>
void offer_rows(const search_space<T>& space, const matrix_view<const T>& queries, index_t begin,
                index_t count, index_t first_row,
                const vector_view<const std::int64_t>& exclude_ids, const scan_scratch& scratch,
                scanned_query* scanned) {
  const bool bounded = space.similarity.has_floor() || space.similarity.has_ceiling();
  std::array<double, query_lanes> bars;
  bars.fill(std::numeric_limits<double>::infinity());
  for (index_t lane = 0; lane < count; ++lane)
    bars[static_cast<std::size_t>(lane)] = scanned[lane].bar();
  for (index_t tile = first_row; tile < space.rows.rows(); tile += scan_rows) {
    const index_t rows = std::min(scan_rows, space.rows.rows() - tile);
    score_tile(queries, begin, count, space.rows.rows_from(tile, rows), tile == first_row, scratch);
    for (index_t slot = tile; slot < tile + rows; ++slot) {
      const double* dots = scratch.dots + (slot - tile) * query_lanes;
      const double inverse = inverse_norm_of(space, slot);
      // Few of the lanes, after the first rows. One with NaN is among them, whatever its bar.
      std::uint32_t lanes = lanes_not_below(scratch.instructions, dots, inverse, bars.data());
      for (; lanes != 0; lanes &= lanes - 1) {
        const index_t lane = std::countr_zero(lanes);
        if (lane >= count) break;
        scanned_query& query = scanned[lane];
        if (!feaug::detail::is_finite(query.norm)) continue;  // finds nothing
        if (!exclude_ids.empty() && space.ids[slot] == exclude_ids[begin + lane]) continue;
        const double score =
            space.unit ? unit_ranking_score(dots[lane]) : ranking_score(dots[lane], inverse);
        if (bounded && !space.similarity.contains(score, query.norm)) continue;
        query.best.offer({.score = score, .slot = slot});
        bars[static_cast<std::size_t>(lane)] = query.bar();
      }
    }
  }
}

/// Finds the k first-ranked rows of `count` ≤ query_lanes queries, starting at query `begin`: calls
/// found(query, candidates, norm of the query).
template <element T, class Found>
void scan_group(const search_space<T>& space, const matrix_view<const T>& queries, index_t begin,
                index_t count, index_t k, const vector_view<const std::int64_t>& exclude_ids,
                const scan_scratch& scratch, const Found& found) {
  std::array<scanned_query, query_lanes> scanned = {};
  for (index_t lane = 0; lane < count; ++lane) {
    scanned[static_cast<std::size_t>(lane)] = {
        .norm = row_norm(queries.row(begin + lane), queries.cols()),
        .best = {scratch.candidates + lane * k, k}};
  }
  offer_rows(space, queries, begin, count, 0, exclude_ids, scratch, scanned.data());
  for (index_t lane = 0; lane < count; ++lane) {
    scanned_query& query = scanned[static_cast<std::size_t>(lane)];
    found(begin + lane, query.best.ranked(), query.norm);
  }
}

/// Calls found(query, its k first-ranked rows in order, ‖query‖) once for each query, on any
/// thread. There are fewer than k rows if rows are excluded or out of range, and none for a query
/// with NaN or ∞. `exclude_ids` is empty or has one id a query.
template <element T, class Found>
void exact_scan(cpu_context& ctx, const search_space<T>& space, const matrix_view<const T>& queries,
                index_t k, const vector_view<const std::int64_t>& exclude_ids, const Found& found) {
  const index_t group = std::clamp<index_t>(scan_candidates / k, 1, query_lanes);
  const index_t groups = (queries.rows() + group - 1) / group;
  const int workers = worker_count(ctx, groups);
  const index_t packed_size = std::min(scan_features, queries.cols()) * query_lanes;
  workspace::scope scope(ctx.workspace);
  auto* packed = scope.take<double>(workers * packed_size);
  auto* dots = scope.take<double>(workers * scan_rows * query_lanes);
  auto* candidates = scope.take<candidate>(workers * group * k);
  for_each_block(ctx, groups, [&](index_t block, int worker) {
    const scan_scratch scratch = {.instructions = usable(ctx.instructions),
                                  .packed = packed + worker * packed_size,
                                  .dots = dots + worker * scan_rows * query_lanes,
                                  .candidates = candidates + worker * group * k};
    const index_t begin = block * group;
    scan_group(space, queries, begin, std::min(group, queries.rows() - begin), k, exclude_ids,
               scratch, found);
  });
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
