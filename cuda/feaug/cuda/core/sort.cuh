// Stable sort by key: CUB's radix sort, or std::stable_sort in the CPU emulation of CUDA
// (tests/simt).
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/version.hpp"

#if defined(__CUDACC__)
#include <cub/device/device_radix_sort.cuh>
#endif

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda::inline FEAUG_CUBLAS_NAMESPACE {

/// Sorts the values by their keys; values with equal keys keep their order. All four arrays have
/// `count` elements and do not overlap.
inline void sort_by_key(operation& call, const std::uint32_t* keys, std::uint32_t* sorted_keys,
                        const index_t* values, index_t* sorted_values, index_t count) {
  if (count == 0) return;
#if defined(__CUDACC__)
  std::size_t bytes = 0;
  succeed(call.name(), "cub::DeviceRadixSort::SortPairs",
          cub::DeviceRadixSort::SortPairs(nullptr, bytes, keys, sorted_keys, values, sorted_values,
                                          count, 0, 32, call.stream()));
  auto* const scratch = call.take<unsigned char>(static_cast<index_t>(bytes));
  succeed(call.name(), "cub::DeviceRadixSort::SortPairs",
          cub::DeviceRadixSort::SortPairs(scratch, bytes, keys, sorted_keys, values, sorted_values,
                                          count, 0, 32, call.stream()));
#else
  simt::submit(call.stream(), [=] {
    const simt::device_memory_access access;
    std::vector<index_t> order(static_cast<std::size_t>(count));
    std::iota(order.begin(), order.end(), index_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](index_t a, index_t b) { return keys[a] < keys[b]; });
    for (index_t i = 0; i < count; ++i) {
      const index_t from = order[static_cast<std::size_t>(i)];
      sorted_keys[i] = keys[from];
      sorted_values[i] = values[from];
    }
  });
#endif
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda

#include "feaug/header_end.hpp"
