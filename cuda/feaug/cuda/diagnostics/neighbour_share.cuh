// CUDA implementation of neighbour_accuracy and same_sample_share: the shares of neighbours that
// have the query's class, or come from its own sample.
#pragma once

#include "feaug/header_begin.hpp"

#include <cmath>
#include <string_view>

#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/core/pointers.cuh"
#include "feaug/cuda/loss/row_losses.cuh"
#include "feaug/diagnostics/neighbour_share.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cuda::inline FEAUG_CUBLAS_NAMESPACE {

using device_neighbour_numbers = feaug::detail::neighbour_numbers<memory_space::device>;

// Counts of each query's neighbours. One thread per query. Limited by memory bandwidth: reads the
// query's indices, and the scattered ids or labels of its neighbours. The counts are doubles, so
// that NaN can mark an index that is no row of the queue.
template <class Numbers>
__global__ void __launch_bounds__(256)
    count_neighbours_kernel(Numbers numbers, double* found, double* equal) {
  for (index_t i = static_cast<index_t>(blockIdx.x) * blockDim.x + threadIdx.x;
       i < numbers.indices.rows(); i += static_cast<index_t>(gridDim.x) * blockDim.x) {
    const auto counts = numbers.of_query(i);
    found[i] = static_cast<double>(counts.found);
    equal[i] = counts.bad >= 0 ? static_cast<double>(NAN) : static_cast<double>(counts.equal);
  }
}

// to = Σ equal / Σ found. One block. Limited by latency: reads 16 bytes a query.
template <class Number>
__global__ void __launch_bounds__(sum_threads)
    neighbour_share_kernel(const Number* found, const Number* equal, index_t queries,
                           device_vector<Number> to) {
  const double all = block_sum(queries, [&](index_t i) { return found[i]; });
  __syncthreads();  // the next sum overwrites the shared memory of the first
  const double same = block_sum(queries, [&](index_t i) { return equal[i]; });
  if (threadIdx.x == 0) to[0] = same / all;
}

}  // namespace cuda

/// Scratch: 16 bytes a query.
template <>
struct detail::neighbour_share_on<cuda_context> {
  static void run(cuda_context& ctx, std::string_view op,
                  const cuda::device_neighbour_numbers& numbers, const device_vector<double>& to) {
    cuda::operation call(ctx, op);
    const index_t queries = numbers.indices.rows();
    auto* const found = call.take<double>(queries);
    auto* const equal = call.take<double>(queries);
    call.launch(cuda::count_neighbours_kernel<cuda::device_neighbour_numbers>,
                cuda::grid_size(queries, 256), 256, 0, numbers, found, equal);
    call.launch(cuda::neighbour_share_kernel<double>, 1, cuda::sum_threads, 0, found, equal,
                queries, to);
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
