// Pruned search: only rows that pruning cannot rule out are scored exactly. The results are those
// of exact_scan on any data. The number of rows to score depends on the data: one or two per query
// if rows differ, all if all rows are alike.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>

#include "feaug/core/exact_dot.hpp"
#include "feaug/core/finite.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/l2_norm.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/queue/pruning.cuh"
#include "feaug/cuda/queue/search_space.cuh"
#include "feaug/queue/ranking.hpp"
#include "feaug/queue/similarity_range.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda::inline FEAUG_CUBLAS_NAMESPACE {

inline constexpr index_t most_pruned_k = 32;
inline constexpr int rescore_threads = 128;

/// True if a search with these options can be pruned. A similarity ceiling cannot: the pruning
/// bound counts the nearest rows, which a ceiling excludes.
constexpr bool can_prune(index_t k, const similarity_range& similarity) {
  return k <= most_pruned_k && !similarity.has_ceiling();
}

/// Results of the pruning for a chunk of queries, in device memory.
struct pruned {
  const group_leader* leaders;  ///< index: query · groups + group
  const rounding* of_queries;   ///< from the chunk's first query on
  const rounding* of_groups;
  double sum_error;  ///< largest error of the product's sum, for rows of norm 1

  /// The largest possible difference of a row's cosine and its rounded product. Not finite if
  /// unknown.
  [[nodiscard]] __device__ double margin(index_t query, index_t group) const {
    const rounding q = of_queries[query];
    const rounding g = of_groups[group];
    const double row_length = static_cast<double>(g.length) + g.error;  // ‖k‖ ≤ ‖k̂‖ + ‖k − k̂‖
    return q.error * row_length + q.length * (g.error + sum_error * row_length);
  }
};

/// The k best candidates so far, in order. In shared memory.
struct ranked_list {
  double score[most_pruned_k];
  index_t slot[most_pruned_k];
  int count;
};

/// Inserts the candidates of the block's threads (slot −1: none) into the list, which keeps the
/// best k. All threads of the block must call this.
__device__ inline void insert_all(ranked_list& list, index_t k, candidate mine) {
  const auto fits = [&](const candidate& c) {
    if (c.slot < 0) return false;
    if (list.count < k) return true;
    return ranks_before(c, {list.score[list.count - 1], list.slot[list.count - 1]});
  };
  __syncthreads();  // the previous call's list is complete
  while (__syncthreads_or(fits(mine) ? 1 : 0) != 0) {
    const candidate first = first_of_block<rescore_threads>(fits(mine) ? mine : candidate{});
    if (mine.slot == first.slot) mine.slot = -1;
    if (threadIdx.x == 0) {
      if (list.count < k) ++list.count;
      int at = list.count - 1;
      for (; at > 0 && ranks_before(first, {list.score[at - 1], list.slot[at - 1]}); --at) {
        list.score[at] = list.score[at - 1];
        list.slot[at] = list.slot[at - 1];
      }
      list.score[at] = first.score;
      list.slot[at] = first.slot;
    }
    __syncthreads();
  }
}

// Writes the k nearest rows of each query. One block per query. It derives a threshold from the
// group leaders, then scores exactly the leader or all 64 rows of each group that can reach it.
// Limited by memory bandwidth: reads 12 bytes per group k + 1 times, and cols elements per scored
// row; one thread computes a score, in index order. Registers: at most 128.
template <element T>
__global__ void __launch_bounds__(rescore_threads, 4)
    rescore_kernel(search_space<T> space, device_matrix<const T> queries, const double* query_norms,
                   index_t first_query, pruned left, found_rows<T> to) {
  FEAUG_SHARED(ranked_list, best);
  struct work_type {
    bool is_whole[rescore_threads];
  };
  FEAUG_SHARED(work_type, work);
  const auto thread = static_cast<int>(threadIdx.x);
  const index_t in_chunk = blockIdx.x;
  const index_t query = first_query + in_chunk;
  const double norm = query_norms[query];
  const index_t count = feaug::detail::is_finite(norm) ? space.filter.count() : 0;
  const index_t groups = (count + group_rows - 1) / group_rows;
  const index_t all_groups = (space.rows.rows() + group_rows - 1) / group_rows;
  const group_leader* const leaders = left.leaders + in_chunk * all_groups;
  if (thread == 0) best.count = 0;

  // The threshold is the k-th largest lower bound of the leaders. At least k rows, in different
  // groups, are that near.
  candidate bound{};
  for (index_t round = 0; round < to.k; ++round) {
    candidate next{};
    for (index_t g = thread; g < groups; g += rescore_threads) {
      const candidate lower{leaders[g].largest - left.margin(in_chunk, g), g};
      if (!feaug::detail::is_finite(lower.score)) continue;
      if (bound.slot >= 0 && !ranks_before(bound, lower)) continue;
      if (next.slot < 0 || ranks_before(lower, next)) next = lower;
    }
    bound = first_of_block<rescore_threads>(next);
    if (bound.slot < 0) break;
  }
  const double threshold = bound.slot < 0 ? -static_cast<double>(INFINITY) : bound.score;

  const auto exact = [&](index_t slot) {
    if (slot >= count || space.filter.excludes(query, slot)) return candidate{};
    const T* const q = queries.row(query);
    const T* const row = space.rows.row(slot);
    double dot = 0;
    for (index_t j = 0; j < queries.cols(); ++j) dot = exact_multiply_add(dot, q[j], row[j]);
    const double score = space.score(dot, slot);
    return space.similarity.contains(score, norm) ? candidate{score, slot} : candidate{};
  };
  for (index_t first = 0; first < groups; first += rescore_threads) {
    const index_t g = first + thread;
    bool only_leader = false;
    bool whole = false;
    if (g < groups) {
      const double margin = left.margin(in_chunk, g);
      // (If the margin is not finite or there is no threshold, the comparisons keep the group.)
      const bool is_out = leaders[g].largest + margin < threshold;
      whole = !is_out && !(leaders[g].second + margin < threshold);
      only_leader = !is_out && !whole;
    }
    work.is_whole[thread] = whole;
    if (__syncthreads_or(only_leader || whole ? 1 : 0) == 0) continue;
    candidate mine{};
    if (only_leader) mine = exact(g * group_rows + leaders[g].row);
    insert_all(best, to.k, mine);
    for (int w = 0; w < rescore_threads; ++w) {
      if (!work.is_whole[w]) continue;
      const index_t begin = (first + w) * group_rows;
      insert_all(best, to.k, thread < group_rows ? exact(begin + thread) : candidate{});
    }
    __syncthreads();  // all threads have read is_whole
  }
  __syncthreads();
  for (index_t rank = 0; rank < to.k; ++rank) {
    const bool found = rank < best.count;
    to.template write<rescore_threads>(
        query, rank, found ? candidate{best.score[rank], best.slot[rank]} : candidate{}, norm);
  }
}

/// The same results as exact_scan, bitwise. Requires uses_tensor_tiles and can_prune. Scratch:
/// 2 · features + 16 bytes per query and per row, features rounded up to 64,
/// 128 or 256; 12 bytes per query and 64 rows, for as many queries at a time as fit 48 MiB, at
/// least 128.
template <element T>
void pruned_scan(operation& call, const search_space<T>& space,
                 const device_matrix<const T>& queries, const double* query_norms,
                 const found_rows<T>& to) {
  constexpr index_t most_bytes = index_t{48} << 20;
  const int features = tile_features(queries.cols());
  const index_t capacity = space.rows.rows();
  const index_t groups = (capacity + group_rows - 1) / group_rows;
  const pruned_rows rows = round_rows(call, space.rows, space.inverse_norms, features);
  auto* of_groups = call.take<rounding>(groups);
  const dim3 block(warp_lanes, 8);
  call.launch(group_roundings_kernel<group_rows>, grid_size(groups, block.y), block, 0,
              rows.roundings, space.filter, of_groups);
  auto* factors = call.take<double>(queries.rows());
  row_norms(call, queries, norm_output::inverse, default_norm_eps, factors);
  const pruned_rows rounded_queries = round_rows(call, queries, factors, features);
  const index_t fit = most_bytes / (static_cast<index_t>(sizeof(group_leader)) * groups);
  const index_t at_once =
      std::min(queries.rows(), std::max<index_t>(fit - fit % tile_rows, tile_rows));
  auto* leaders = call.take<group_leader>(at_once * groups);
  for (index_t first = 0; first < queries.rows(); first += at_once) {
    const index_t count = std::min(at_once, queries.rows() - first);
    const tensor_rows<half> chunk = rounded_queries.rounded.from(first, count);
    switch (features) {
      case 64:
        prune<64>(call, space.filter, chunk, first, rows.rounded, leaders);
        break;
      case 128:
        prune<128>(call, space.filter, chunk, first, rows.rounded, leaders);
        break;
      default:
        prune<256>(call, space.filter, chunk, first, rows.rounded, leaders);
    }
    // Each rounding of the sum is at most 2⁻²² of the rows' norms, in any order of addition. Those
    // of the exact score, which is in double, are negligible.
    const pruned left = {.leaders = leaders,
                         .of_queries = rounded_queries.roundings + first,
                         .of_groups = of_groups,
                         .sum_error = features * 0x1p-22};
    call.launch(rescore_kernel<T>, static_cast<unsigned>(count), rescore_threads, 0, space, queries,
                query_norms, first, left, to);
  }
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda

#include "feaug/header_end.hpp"
