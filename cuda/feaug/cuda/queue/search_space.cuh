// The space of a search, the block-wide choice of the best candidate, and the output of a found
// row.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/core/element.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/core/row_filter.cuh"
#include "feaug/cuda/core/warps.cuh"
#include "feaug/queue/nearest.hpp"
#include "feaug/queue/ranking.hpp"
#include "feaug/queue/similarity_range.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda::inline FEAUG_CUBLAS_NAMESPACE {

/// The rows to search, M × D, and which of them may be found.
template <element T>
struct search_space {
  device_matrix<const T> rows;
  row_filter filter;
  const double* inverse_norms = nullptr;  ///< M; null: rows are stored with unit norm
  similarity_range similarity = {};       ///< range of similarities that may be found

  /// The score that rows are ranked by, from their dot product with the query.
  [[nodiscard]] __device__ double score(double dot, index_t slot) const {
    return inverse_norms == nullptr ? unit_ranking_score(dot)
                                    : ranking_score(dot, inverse_norms[slot]);
  }
};

/// The best-ranked of the candidates of the block's threads (slot −1: none), in every thread. All
/// threads of the block must call this.
template <int Threads>
__device__ candidate first_of_block(candidate mine) {
  struct best_type {
    double score[Threads / warp_lanes];
    index_t slot[Threads / warp_lanes];
  };
  FEAUG_SHARED(best_type, best);
  const auto take_if_first = [&mine](const candidate& other) {
    if (other.slot >= 0 && (mine.slot < 0 || ranks_before(other, mine))) mine = other;
  };
  for (int bits = warp_lanes / 2; bits > 0; bits /= 2) {
    take_if_first({__shfl_xor_sync(all_lanes, mine.score, bits),
                   __shfl_xor_sync(all_lanes, mine.slot, bits)});
  }
  const int warp = static_cast<int>(threadIdx.x) / warp_lanes;
  __syncthreads();  // the previous call's values have been read
  if (threadIdx.x % warp_lanes == 0) {
    best.score[warp] = mine.score;
    best.slot[warp] = mine.slot;
  }
  __syncthreads();
  for (int w = 0; w < Threads / warp_lanes; ++w) take_if_first({best.score[w], best.slot[w]});
  return mine;
}

/// The outputs of a search.
template <element T>
struct found_rows {
  device_matrix<const T> rows;
  nearest_outputs<T, memory_space::device> outputs;
  index_t k;
  T nothing;  ///< similarity and features if nothing was found

  /// Writes the query's neighbour of this rank. All threads of the block must call this.
  template <int Threads>
  __device__ void write(index_t query, index_t rank, const candidate& found, double norm) const {
    const double scale = norm > default_norm_eps ? norm : default_norm_eps;
    if (threadIdx.x == 0) {
      if (outputs.indices.data != nullptr) outputs.indices(query, rank) = found.slot;
      if (outputs.similarities.data != nullptr) {
        outputs.similarities(query, rank) =
            found.slot < 0 ? nothing : store<T>(static_cast<compute_t<T>>(found.score / scale));
      }
    }
    if (outputs.values.data != nullptr) {
      T* const to = outputs.values.row(query * k + rank);
      for (index_t j = threadIdx.x; j < outputs.values.cols(); j += Threads)
        to[j] = found.slot < 0 ? nothing : rows.row(found.slot)[j];
    }
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda

#include "feaug/header_end.hpp"
