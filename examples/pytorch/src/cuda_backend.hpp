// GPU backend: PyTorch's current stream, and memory of PyTorch's caching allocator.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <feaug/cuda/core/context.cuh>
#include <feaug/cuda/core/error.cuh>
#include <map>
#include <utility>

#include "kernels.hpp"

namespace feaug_torch {

using context = feaug::cuda_context;

/// Scratch memory that is returned at the end of the call. PyTorch reuses it on the same stream,
/// and therefore after this call's kernels.
class caching_memory : public feaug::device_memory_resource {
 public:
  explicit caching_memory(const caller& from) : from_(from) {}
  void* allocate(std::size_t bytes, cudaStream_t /*stream*/) override {
    return from_.allocate(bytes);
  }
  void deallocate(void* memory, std::size_t /*bytes*/, cudaStream_t /*stream*/) override {
    from_.deallocate(memory);
  }

 private:
  const caller& from_;
};

/// Runs body(context) with a context for this call.
template <class Body>
void lend_context(const caller& from, const Body& body) {
  // The cuBLAS handles of this thread, one per device, since they are expensive to create.
  thread_local std::map<int, decltype(context::cublas)> handles;
  int device = 0;
  feaug::cuda::succeed("feaug_torch", "cudaGetDevice", cudaGetDevice(&device));
  caching_memory memory(from);
  context lent{.stream = static_cast<cudaStream_t>(from.stream), .resource = &memory};
  std::swap(lent.cublas, handles[device]);
  body(lent);
  std::swap(lent.cublas, handles[device]);
}

}  // namespace feaug_torch
