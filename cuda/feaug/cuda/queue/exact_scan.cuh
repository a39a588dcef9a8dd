// Exhaustive nearest-neighbour search: the score of every query with every support row, in double.
// Each score is a sum over the features in ascending order, so that it has the same bits as on the
// CPU. Every other search must find the neighbours that these scores define.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>

#include "feaug/core/element.hpp"
#include "feaug/core/exact_dot.hpp"
#include "feaug/core/exact_math.hpp"
#include "feaug/core/finite.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/queue/search_space.cuh"
#include "feaug/queue/ranking.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda::inline FEAUG_CUBLAS_NAMESPACE {

inline constexpr int scan_tile = 64;      ///< queries and support rows per block
inline constexpr int scan_features = 16;  ///< features per step
inline constexpr int scan_threads = 256;  ///< 16 × 16 threads with 4 × 4 scores each

// scores[query · M + row]. A block computes 64 × 64 scores; each of its threads computes 16 of them
// and sums over the features in ascending order. Limited by FLOP in double: 2·queries·rows·cols. A
// block reads its queries and rows once per tile. Shared memory: 16.3 KiB. Registers: at most 128.
template <element T>
__global__ void __launch_bounds__(scan_threads, 2)
    score_rows_kernel(search_space<T> space, device_matrix<const T> queries, double* scores) {
  struct tiles {
    double query[scan_features][scan_tile + 1];
    double row[scan_features][scan_tile + 1];
  };
  FEAUG_SHARED(tiles, shared);
  constexpr int side = 16;
  constexpr int each = scan_tile / side;
  const index_t cols = queries.cols();
  const index_t capacity = space.rows.rows();
  const index_t count = space.filter.count();
  const int x = static_cast<int>(threadIdx.x) % side;
  const int y = static_cast<int>(threadIdx.x) / side;
  const index_t first_query = static_cast<index_t>(blockIdx.y) * scan_tile;
  for (index_t first_row = static_cast<index_t>(blockIdx.x) * scan_tile; first_row < count;
       first_row += static_cast<index_t>(gridDim.x) * scan_tile) {
    double sums[each][each] = {};
    for (index_t first = 0; first < cols; first += scan_features) {
      __syncthreads();
      // Adjacent lanes read adjacent features, so that loads are coalesced.
      for (int at = static_cast<int>(threadIdx.x); at < scan_tile * scan_features;
           at += scan_threads) {
        const int d = at % scan_features;
        const int r = at / scan_features;
        const bool feature = first + d < cols;
        const index_t query = first_query + r;
        const index_t row = first_row + r;
        shared.query[d][r] = feature && query < queries.rows()
                                 ? exact::to_double(load(queries.row(query)[first + d]))
                                 : 0.0;
        shared.row[d][r] =
            feature && row < count ? exact::to_double(load(space.rows.row(row)[first + d])) : 0.0;
      }
      __syncthreads();
      const int features =
          static_cast<int>(cols - first < scan_features ? cols - first : scan_features);
      for (int d = 0; d < features; ++d) {
        FEAUG_UNROLL
        for (int a = 0; a < each; ++a) {
          FEAUG_UNROLL
          for (int b = 0; b < each; ++b) {
            // Products of floats are exact in double, so this equals exact_multiply_add of floats.
            sums[a][b] = exact_multiply_add(sums[a][b], shared.query[d][y + side * a],
                                            shared.row[d][x + side * b]);
          }
        }
      }
    }
    for (int a = 0; a < each; ++a) {
      const index_t query = first_query + y + side * a;
      for (int b = 0; b < each; ++b) {
        const index_t row = first_row + x + side * b;
        if (query >= queries.rows() || row >= count) continue;
        scores[query * capacity + row] = space.score(sums[a][b], row);
      }
    }
  }
}

// The k nearest rows of each query. One block per query. In each of k rounds it finds the candidate
// that ranks next after the previous one. Limited by memory bandwidth: reads 8 · rows bytes of
// scores a round, mostly from the L2 cache. Registers: at most 64.
template <element T>
__global__ void __launch_bounds__(scan_threads, 2)
    select_neighbours_kernel(search_space<T> space, const double* scores, const double* query_norms,
                             index_t first_query, found_rows<T> to) {
  const index_t query = first_query + blockIdx.x;
  const double* const mine = scores + static_cast<index_t>(blockIdx.x) * space.rows.rows();
  const double norm = query_norms[query];
  const index_t count = feaug::detail::is_finite(norm) ? space.filter.count() : 0;
  candidate before{};
  bool exhausted = false;  // the same in all threads
  for (index_t rank = 0; rank < to.k; ++rank) {
    candidate found{};
    for (index_t slot = threadIdx.x; slot < count && !exhausted; slot += scan_threads) {
      if (space.filter.excludes(query, slot)) continue;
      const candidate next{mine[slot], slot};
      if (!space.similarity.contains(next.score, norm)) continue;
      if (before.slot >= 0 && !ranks_before(before, next)) continue;
      if (found.slot < 0 || ranks_before(next, found)) found = next;
    }
    before = first_of_block<scan_threads>(found);
    exhausted = before.slot < 0;
    to.template write<scan_threads>(query, rank, before, norm);
  }
}

// Scores of a chunk of queries fit an H100's L2 cache.
inline constexpr index_t most_score_bytes = index_t{48} << 20;

/// The k nearest rows of every query. There are fewer than k if rows are excluded, out of range or
/// not filled, and none for a query with NaN or ∞. Scratch: 8 bytes per row and query, for as many
/// queries at a time as fit 48 MiB, at least one.
template <element T>
void exact_scan(operation& call, const search_space<T>& space,
                const device_matrix<const T>& queries, const double* query_norms,
                const found_rows<T>& to) {
  const index_t rows = space.rows.rows();
  index_t at_once = std::clamp<index_t>(
      most_score_bytes / (static_cast<index_t>(sizeof(double)) * rows), 1, queries.rows());
  if (at_once > scan_tile) at_once -= at_once % scan_tile;
  at_once = std::min<index_t>(at_once, index_t{32768} * scan_tile);
  auto* scores = call.take<double>(at_once * rows);
  for (index_t first = 0; first < queries.rows(); first += at_once) {
    const index_t count = std::min(at_once, queries.rows() - first);
    const dim3 grid(grid_size(rows, scan_tile), grid_size(count, scan_tile));
    call.launch(score_rows_kernel<T>, grid, scan_threads, 0, space, queries.rows_from(first, count),
                scores);
    call.launch(select_neighbours_kernel<T>, static_cast<unsigned>(count), scan_threads, 0, space,
                scores, query_norms, first, to);
  }
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda

#include "feaug/header_end.hpp"
