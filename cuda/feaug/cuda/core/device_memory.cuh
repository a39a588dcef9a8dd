// Allocation of a cuda_context's scratch memory.
#pragma once

#include "feaug/header_begin.hpp"

#include <cstddef>
#include <string_view>

#include "feaug/core/basic_workspace.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/error.cuh"
#include "feaug/cuda/core/home.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// An allocator of the caller's, for example a framework's caching allocator. The memory is used on
/// `stream`, in stream order. It must be aligned to 256 bytes. When a context is destroyed after its
/// stream, `deallocate` gets the handle of the destroyed stream.
class device_memory_resource {
 public:
  device_memory_resource() = default;
  device_memory_resource(const device_memory_resource&) = delete;
  device_memory_resource& operator=(const device_memory_resource&) = delete;
  virtual ~device_memory_resource() = default;

  /// Throws, or returns null, if the memory is not available.
  virtual void* allocate(std::size_t bytes, cudaStream_t stream) = 0;
  /// Must not throw: destructors call it.
  virtual void deallocate(void* memory, std::size_t bytes, cudaStream_t stream) = 0;
};

namespace cuda::inline FEAUG_CUBLAS_NAMESPACE {

/// Frees memory of cudaMallocAsync without the stream that used it, which may be destroyed: after
/// all work of the GPU. If that fails, for example because a stream of the GPU is captured, the
/// memory is leaked rather than freed while a kernel uses it.
inline void free_after_all_work(void* memory, int device) {
  const bool had_error = cudaPeekAtLastError() != cudaSuccess;
  {
    const device_scope on(device);
    if (on.is_current() && cudaDeviceSynchronize() == cudaSuccess)
      static_cast<void>(cudaFree(memory));
  }
  // An error of these calls must not look like one of the caller's.
  if (!had_error) static_cast<void>(cudaGetLastError());
}

/// Allocates with cudaMallocAsync, or from the caller's resource.
struct device_memory {
  static constexpr memory_space space = memory_space::device;
  static constexpr std::size_t alignment = 256;

  cudaStream_t stream = nullptr;
  int device = 0;
  device_memory_resource* resource = nullptr;
  std::string_view op = "scratch memory";  ///< the operator named in errors
  bool is_captured = false;                ///< the stream is being captured

  void* allocate(std::size_t bytes) {
    if (is_captured) {
      throw cuda_error(op,
                       "scratch memory while the stream is captured (call once before capturing)",
                       cudaErrorStreamCaptureUnsupported);
    }
    void* memory = nullptr;
    cudaError_t result = cudaErrorMemoryAllocation;
    if (resource != nullptr) {
      memory = resource->allocate(bytes, stream);
      if (memory != nullptr) result = cudaSuccess;
    } else {
      result = cudaMallocAsync(&memory, bytes, stream);
    }
    succeed(op, resource != nullptr ? "device_memory_resource::allocate" : "cudaMallocAsync",
            result);
    return memory;
  }

  void* allocate_or_null(std::size_t bytes) {
    try {
      return allocate(bytes);
    } catch (...) {  // of any type that the caller's resource throws
      return nullptr;
    }
  }

  [[nodiscard]] bool may_allocate() const { return !is_captured; }

  void deallocate(void* memory, std::size_t bytes, workspace_freed when) const {
    if (resource != nullptr) {
      resource->deallocate(memory, bytes, stream);
    } else if (when == workspace_freed::in_call) {
      // A destructor cannot throw, and a failed free cannot be repaired.
      static_cast<void>(cudaFreeAsync(memory, stream));
    } else {
      free_after_all_work(memory, device);
    }
  }
};

using device_workspace = basic_workspace<device_memory>;

}  // namespace cuda
}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
