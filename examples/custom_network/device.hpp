// Where feaug runs: the CPU and its memory, or, compiled by nvcc, a GPU and memory that both reach,
// so that the network's loops stay what they are.
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

inline void succeed(cudaError_t result) {
  if (result != cudaSuccess) throw std::runtime_error(cudaGetErrorString(result));
}

template <class T>
struct shared_memory {
  using value_type = T;
  shared_memory() = default;
  template <class U>
  explicit shared_memory(const shared_memory<U>& /*other*/) {}

  T* allocate(std::size_t count) {
    void* memory = nullptr;
    succeed(cudaMallocManaged(&memory, count * sizeof(T)));
    return static_cast<T*>(memory);
  }
  void deallocate(T* memory, std::size_t /*count*/) { cudaFree(memory); }
  friend bool operator==(const shared_memory&, const shared_memory&) { return true; }
};

template <class T>
using array = std::vector<T, shared_memory<T>>;

/// A call of feaug's returns before the GPU has done it.
inline void wait_for(const context& ctx) { succeed(cudaStreamSynchronize(ctx.stream)); }

#else

using context = feaug::cpu_context;

template <class T>
using array = std::vector<T>;

inline void wait_for(const context& /*ctx*/) {}

#endif
