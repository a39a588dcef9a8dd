// neighbour_accuracy and same_sample_share on a GPU; see feaug/cpu/diagnostics/neighbour_share.hpp
// for what they compute.
#pragma once

#include <cmath>
#include <string_view>

#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/core/pointers.cuh"
#include "feaug/cuda/loss/row_losses.cuh"
#include "feaug/diagnostics/diagnostic_checks.hpp"
#include "feaug/diagnostics/neighbour_share.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cuda {

using device_neighbour_numbers = feaug::detail::neighbour_numbers<memory_space::device>;

/// A thread a query. Numbers of doubles, so that NaN says that an index is no row of the queue.
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

// One block.
template <class Number>
__global__ void __launch_bounds__(sum_threads)
    neighbour_share_kernel(const Number* found, const Number* equal, index_t queries,
                           device_vector<Number> to) {
  const double all = block_sum(queries, [&](index_t i) { return found[i]; });
  __syncthreads();  // before the next sum takes the first's place
  const double same = block_sum(queries, [&](index_t i) { return equal[i]; });
  if (threadIdx.x == 0) to[0] = same / all;
}

inline void neighbour_share(cuda_context& ctx, std::string_view op, std::string_view queue_name,
                            std::string_view queries_name, const device_neighbour_numbers& numbers,
                            const device_vector<double>& to) {
  numbers.validate(op, queue_name, queries_name);
  check::diagnostic_output(op, to);
  on_device(op, "indices", numbers.indices);
  on_device(op, queue_name, numbers.of_queue);
  on_device(op, queries_name, numbers.of_queries);
  on_device(op, "to", to);
  operation call(ctx, op);
  const index_t queries = numbers.indices.rows();
  auto* const found = call.take<double>(queries);
  auto* const equal = call.take<double>(queries);
  call.launch(count_neighbours_kernel<device_neighbour_numbers>, grid_size(queries, 256), 256, 0,
              numbers, found, equal);
  call.launch(neighbour_share_kernel<double>, 1, sum_threads, 0, found, equal, queries, to);
}

}  // namespace cuda

/// The share, as on the CPU, into one element of device memory. An index beyond the queue makes it
/// NaN. Scratch: 16 bytes a query.
inline void neighbour_accuracy(cuda_context& ctx, const device_matrix<const index_t>& indices,
                               const device_vector<const index_t>& queue_labels,
                               const device_vector<const index_t>& labels,
                               const device_vector<double>& to) {
  cuda::neighbour_share(ctx, "neighbour_accuracy", "queue_labels", "labels",
                        {indices, queue_labels, labels}, to);
}

/// Likewise, with ids for labels.
inline void same_sample_share(cuda_context& ctx, const device_matrix<const index_t>& indices,
                              const device_vector<const index_t>& queue_ids,
                              const device_vector<const index_t>& ids,
                              const device_vector<double>& to) {
  cuda::neighbour_share(ctx, "same_sample_share", "queue_ids", "ids", {indices, queue_ids, ids},
                        to);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
