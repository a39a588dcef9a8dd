// Which features fixed_count_mask keeps: those up to a threshold in the order of (word, column).
#pragma once

#include "feaug/header_begin.hpp"

#include <cstdint>

#include "feaug/core/random.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda::inline FEAUG_CUBLAS_NAMESPACE {

/// The last kept (word, column).
struct keep_threshold {
  std::uint32_t word;
  index_t column;

  [[nodiscard]] __device__ bool keeps(std::uint32_t drawn, index_t at) const {
    return drawn != word ? drawn < word : at <= column;
  }
};

inline constexpr int select_threads = 128;

// thresholds[row] = the keep_count-th smallest (word, column) of each row, by radix selection,
// eight bits per round. One block per row. Limited by random number generation (Philox): four
// rounds draw all cols words again, so that nothing is stored and a row may have any length; beside
// this, one shared-memory atomic per matching word. Counts are integers, so the order of the
// atomics does not matter. Shared memory: 1 KiB. Registers: at most 64.
template <int Threads>
__global__ void __launch_bounds__(Threads)
    keep_thresholds_kernel(index_t keep_count, random_key key, index_t rows, index_t cols,
                           keep_threshold* thresholds) {
  struct shared_type {
    unsigned count[256];
    std::uint32_t prefix;
    index_t wanted;
    index_t equal;
  };
  FEAUG_SHARED(shared_type, shared);
  const random_key now = key.resolved();
  for (index_t row = blockIdx.x; row < rows; row += gridDim.x) {
    __syncthreads();
    if (threadIdx.x == 0) {
      shared.prefix = 0;
      shared.wanted = keep_count;  // number of kept words among those that begin with the prefix
      shared.equal = 0;
    }
    for (int shift = 24; shift >= 0; shift -= 8) {
      for (unsigned digit = threadIdx.x; digit < 256; digit += Threads) shared.count[digit] = 0;
      __syncthreads();
      const std::uint32_t prefix = shared.prefix;
      // The bits above this digit; none in the first round.
      const std::uint32_t above = shift == 24 ? 0U : ~0U << (shift + 8);
      for (index_t first = 4 * static_cast<index_t>(threadIdx.x); first < cols;
           first += 4 * Threads) {
        const random_block drawn = draw_block(now, row, static_cast<std::uint32_t>(first / 4));
        for (int lane = 0; lane < 4 && first + lane < cols; ++lane) {
          const std::uint32_t word = drawn.words[lane];
          if ((word & above) == prefix) atomicAdd(&shared.count[(word >> shift) & 255U], 1U);
        }
      }
      __syncthreads();
      if (threadIdx.x == 0) {
        unsigned digit = 0;
        index_t before = 0;
        while (digit < 255 && before + shared.count[digit] < shared.wanted) {
          before += shared.count[digit];
          ++digit;
        }
        shared.prefix = prefix | digit << shift;
        shared.wanted -= before;
        shared.equal = shared.count[digit];
      }
      __syncthreads();
    }
    if (threadIdx.x == 0) {
      keep_threshold found = {shared.prefix, cols};
      if (keep_count == 0) {
        found = {0, -1};
      } else if (shared.equal > shared.wanted) {
        // Equal words, about once in 2³² / D² rows: the first columns among them are kept.
        index_t left = shared.wanted;
        for (index_t j = 0; j < cols && left > 0; ++j) {
          if (draw_word(now, row, j) != shared.prefix) continue;
          --left;
          found.column = j;
        }
      }
      thresholds[row] = found;
    }
  }
}

inline void find_keep_thresholds(const operation& call, index_t keep_count, const random_key& key,
                                 index_t rows, index_t cols, keep_threshold* thresholds) {
  if (rows == 0) return;
  call.launch(keep_thresholds_kernel<select_threads>, grid_size(rows, 1), select_threads, 0,
              keep_count, key, rows, cols, thresholds);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda

#include "feaug/header_end.hpp"
