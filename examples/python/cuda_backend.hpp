// GPU backend: the framework's stream, and its memory for scratch.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <feaug/cuda/core/context.cuh>
#include <feaug/cuda/core/error.cuh>
#include <map>
#include <utility>

#include "kernels.hpp"

namespace feaug_python {

using context = feaug::cuda_context;

/// Scratch memory that is returned at the end of the call. The framework reuses it on the same
/// stream, and therefore after this call's kernels.
class lent_memory : public feaug::device_memory_resource {
 public:
  explicit lent_memory(const caller& from) : from_(from) {}
  void* allocate(std::size_t bytes, cudaStream_t /*stream*/) override {
    return from_.allocate(from_.allocator, bytes);
  }
  void deallocate(void* memory, std::size_t /*bytes*/, cudaStream_t /*stream*/) override {
    from_.deallocate(from_.allocator, memory);
  }

 private:
  const caller& from_;
};

/// The cuBLAS handles of this thread, one per device, since they are expensive to create.
inline std::map<int, decltype(context::cublas)>& cublas_handles() {
  thread_local std::map<int, decltype(context::cublas)> handles;
  return handles;
}

/// Runs body(context) with a context for this call.
template <class Body>
void lend_context(const caller& from, const Body& body) {
  auto& handles = cublas_handles();
  int device = 0;
  feaug::cuda::succeed("feaug_python", "cudaGetDevice", cudaGetDevice(&device));
  lent_memory memory(from);
  context lent{.stream = static_cast<cudaStream_t>(from.stream), .resource = &memory};
  std::swap(lent.cublas, handles[device]);
  body(lent);
  std::swap(lent.cublas, handles[device]);
}

/// Writes zeros, after what is on the stream.
inline void clear(const context& ctx, void* memory, std::size_t bytes) {
  feaug::cuda::succeed("feaug_python", "cudaMemsetAsync",
                       cudaMemsetAsync(memory, 0, bytes, ctx.stream));
}

}  // namespace feaug_python
