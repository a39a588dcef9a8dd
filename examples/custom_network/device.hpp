// Selects where feaug runs: on a GPU if this is compiled by nvcc, otherwise on the CPU. GPU arrays
// are in managed memory, so that the network's CPU loops can use them unchanged.
#pragma once

#include <cstddef>
#include <vector>

#if defined(__CUDACC__)
#include <cuda_runtime.h>

#include <feaug/feaug.cuh>
#include <stdexcept>
#else
#include <feaug/feaug.hpp>
#endif

#if defined(__CUDACC__)

using context = feaug::cuda_context;

inline void throw_on_error(cudaError_t result) {
  if (result != cudaSuccess) throw std::runtime_error(cudaGetErrorString(result));
}

template <class T>
struct managed_allocator {
  using value_type = T;
  managed_allocator() = default;
  template <class U>
  explicit managed_allocator(const managed_allocator<U>& /*other*/) {}

  T* allocate(std::size_t count) {
    void* memory = nullptr;
    throw_on_error(cudaMallocManaged(&memory, count * sizeof(T)));
    return static_cast<T*>(memory);
  }
  void deallocate(T* memory, std::size_t /*count*/) { cudaFree(memory); }
  friend bool operator==(const managed_allocator&, const managed_allocator&) { return true; }
};

template <class T>
using array = std::vector<T, managed_allocator<T>>;

/// feaug's calls are asynchronous on a GPU; waits until they have finished.
inline void wait_for(const context& ctx) { throw_on_error(cudaStreamSynchronize(ctx.stream)); }

#else

using context = feaug::cpu_context;

template <class T>
using array = std::vector<T>;

inline void wait_for(const context& /*ctx*/) {}

#endif
