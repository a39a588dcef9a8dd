// Number of positives of each row, from labels.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/core/vectors.cuh"
#include "feaug/cuda/loss/row_losses.cuh"
#include "feaug/loss/pairing.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda::inline FEAUG_CUBLAS_NAMESPACE {

inline constexpr int label_threads = 256;

// positive_share[i] = 1 / (number of other rows with row i's label), or 0. One thread per row,
// which compares its label with all labels, 256 at a time from shared memory (2 KiB). Limited by
// rows² integer comparisons.
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
      __syncthreads();  // all threads have read the previous labels
      if (first + thread < rows) shared.labels[thread] = labels[first + thread];
      __syncthreads();
      const index_t left = rows - first;
      const int count = left < label_threads ? static_cast<int>(left) : label_threads;
      for (int j = 0; j < count; ++j) equal += shared.labels[j] == own ? 1 : 0;
    }
    // `equal` counts the row itself, too.
    if (i < rows) positive_share[i] = equal > 1 ? 1.0 / static_cast<double>(equal - 1) : 0.0;
  }
}

// *with_positives = the number of rows that have a positive. One block. Limited by latency: reads 8
// bytes a row.
template <class Count>
__global__ void __launch_bounds__(sum_threads)
    count_rows_kernel(const double* positive_share, index_t rows, Count* with_positives) {
  const double sum = block_sum(rows, [&](index_t i) { return positive_share[i] > 0 ? 1.0 : 0.0; });
  if (threadIdx.x == 0) *with_positives = static_cast<Count>(sum);
}

/// Copies the labels to scratch, computes the rows' shares, and writes to *with_positives how many
/// rows have a positive. Scratch: 16 bytes a row.
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

#include "feaug/header_end.hpp"
