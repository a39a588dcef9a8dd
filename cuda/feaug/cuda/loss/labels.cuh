// Who has how many positives by labels.
#pragma once

#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/core/vectors.cuh"
#include "feaug/cuda/loss/row_losses.cuh"
#include "feaug/loss/pairing.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda {

inline constexpr int label_threads = 256;

// A thread a row, which compares its label with all: 256 at a time, from shared memory.
template <class Label>
__global__ void __launch_bounds__(label_threads)
    count_positives_kernel(const Label* labels, index_t rows, double* positive_share) {
  struct shared_type {
    Label labels[label_threads];
  };
  FEAUG_SHARED(shared_type, shared);
  const int thread = static_cast<int>(threadIdx.x);
  for (index_t begin = static_cast<index_t>(blockIdx.x) * label_threads; begin < rows;
       begin += static_cast<index_t>(gridDim.x) * label_threads) {
    const index_t i = begin + thread;
    const Label own = i < rows ? labels[i] : Label{};
    index_t equal = 0;
    for (index_t first = 0; first < rows; first += label_threads) {
      __syncthreads();  // nobody reads the last ones any more
      if (first + thread < rows) shared.labels[thread] = labels[first + thread];
      __syncthreads();
      const index_t left = rows - first;
      const int count = left < label_threads ? static_cast<int>(left) : label_threads;
      for (int j = 0; j < count; ++j) equal += shared.labels[j] == own ? 1 : 0;
    }
    // The row itself is one of them.
    if (i < rows) positive_share[i] = equal > 1 ? 1.0 / static_cast<double>(equal - 1) : 0.0;
  }
}

template <class Count>
__global__ void __launch_bounds__(sum_threads)
    count_rows_kernel(const double* positive_share, index_t rows, Count* with_positives) {
  const double sum = block_sum(rows, [&](index_t i) { return positive_share[i] > 0 ? 1.0 : 0.0; });
  if (threadIdx.x == 0) *with_positives = static_cast<Count>(sum);
}

/// The labels packed, the rows' shares, and in *with_positives how many rows have a positive.
inline feaug::detail::labelling take_labels(operation& call,
                                            const device_vector<const index_t>& labels,
                                            index_t* with_positives) {
  const index_t rows = labels.size();
  auto* const packed = call.take<index_t>(rows);
  auto* const share = call.take<double>(rows);
  copy_vector(call, labels, device_vector<index_t>(packed, rows));
  call.launch(count_positives_kernel<index_t>, grid_size(rows, label_threads), label_threads, 0,
              packed, rows, share);
  call.launch(count_rows_kernel<index_t>, 1, sum_threads, 0, share, rows, with_positives);
  return {.label = packed, .positive_share = share};
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda
