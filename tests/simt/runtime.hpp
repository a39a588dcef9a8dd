// CPU emulation of the part of CUDA's host API that feaug and its tests call: memory, streams,
// graphs, errors.
//
// A stream runs its work immediately; a capturing stream stores it for the graph. Calls that CUDA
// refuses during a capture (allocation, synchronisation) fail here, too.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "device_memory.hpp"
#include "launch.hpp"

enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorInvalidConfiguration = 9,
  cudaErrorStreamCaptureUnsupported = 900,
};
enum cudaMemcpyKind {
  cudaMemcpyHostToHost,
  cudaMemcpyHostToDevice,
  cudaMemcpyDeviceToHost,
  cudaMemcpyDeviceToDevice
};
enum cudaStreamCaptureStatus { cudaStreamCaptureStatusNone, cudaStreamCaptureStatusActive };
enum cudaStreamCaptureMode { cudaStreamCaptureModeGlobal };
enum cudaMemoryType {
  cudaMemoryTypeUnregistered,
  cudaMemoryTypeHost,
  cudaMemoryTypeDevice,
  cudaMemoryTypeManaged
};
enum cudaDeviceAttr {
  cudaDevAttrMultiProcessorCount = 16,
  cudaDevAttrL2CacheSize = 38,
  cudaDevAttrComputeCapabilityMajor = 75,
  cudaDevAttrMaxSharedMemoryPerBlockOptin = 97
};
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };
struct cudaPointerAttributes {
  cudaMemoryType type;
  int device;
};

namespace simt {

struct graph {
  std::vector<std::function<void()>> work;
};

struct stream {
  std::unique_ptr<graph> capture;
};

/// Makes the runtime return `error` after `calls` successful calls, to test that every call is
/// checked.
struct planned_failure {
  int calls = -1;
  cudaError_t error = cudaSuccess;
};
inline planned_failure& next_failure() {
  static planned_failure one;
  return one;
}
inline cudaError_t answer(cudaError_t otherwise = cudaSuccess) {
  planned_failure& planned = next_failure();
  if (planned.calls < 0 || planned.calls-- > 0) return otherwise;
  return planned.error;
}

/// Runs `work` now or, if the stream is capturing, when its graph is launched.
inline void submit(stream* on, std::function<void()> work) {
  if (on != nullptr && on->capture != nullptr) {
    on->capture->work.push_back(std::move(work));
  } else {
    work();
  }
}

/// The GPU's generation: the major number of its compute capability.
inline int& compute_capability() {
  static int major = 8;
  return major;
}

/// Most dynamic shared memory of a block on sm_80, and what a kernel may use without
/// cudaFuncSetAttribute.
inline constexpr int most_dynamic_shared = 163 << 10;
inline constexpr std::size_t dynamic_shared_without_asking = 48 << 10;
/// Limits that cudaFuncSetAttribute has set.
inline std::map<void (*)(), std::size_t>& allowed_dynamic_shared() {
  static std::map<void (*)(), std::size_t> one;
  return one;
}

template <class... Parameters>
cudaError_t launch(stream* on, void (*kernel)(Parameters...), dim3 grid, dim3 block,
                   std::size_t dynamic_shared_bytes,
                   std::type_identity_t<Parameters>... arguments) {
  const cudaError_t result = answer();
  if (result != cudaSuccess) return result;
  if (dynamic_shared_bytes > dynamic_shared_without_asking &&
      dynamic_shared_bytes > allowed_dynamic_shared()[reinterpret_cast<void (*)()>(kernel)]) {
    return cudaErrorInvalidValue;
  }
  submit(on, [=] { run_grid(grid, block, dynamic_shared_bytes, [&] { kernel(arguments...); }); });
  return cudaSuccess;
}

}  // namespace simt

using cudaStream_t = simt::stream*;
using cudaGraph_t = simt::graph*;
using cudaGraphExec_t = simt::graph*;

inline const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "cudaSuccess";
    case cudaErrorInvalidValue:
      return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation:
      return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidConfiguration:
      return "cudaErrorInvalidConfiguration";
    case cudaErrorStreamCaptureUnsupported:
      return "cudaErrorStreamCaptureUnsupported";
  }
  return "unknown";
}
inline const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "no error";
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorStreamCaptureUnsupported:
      return "operation not permitted when stream is capturing";
    default:
      return "invalid argument";
  }
}
inline cudaError_t cudaGetLastError() { return cudaSuccess; }

inline cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
  const cudaError_t result = simt::answer();
  if (result != cudaSuccess) return result;
  *memory = simt::allocate_device(bytes);
  return *memory == nullptr ? cudaErrorMemoryAllocation : cudaSuccess;
}
inline cudaError_t cudaFree(void* memory) {
  return memory == nullptr || simt::free_device(memory) ? cudaSuccess : cudaErrorInvalidValue;
}
inline cudaError_t cudaMallocAsync(void** memory, std::size_t bytes, cudaStream_t stream) {
  if (stream != nullptr && stream->capture != nullptr) return cudaErrorStreamCaptureUnsupported;
  return cudaMalloc(memory, bytes);
}
inline cudaError_t cudaFreeAsync(void* memory, cudaStream_t /*stream*/) { return cudaFree(memory); }

inline cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes,
                                   cudaMemcpyKind /*kind*/, cudaStream_t stream) {
  simt::submit(stream, [=] {
    const simt::device_memory_access access;
    __builtin_memcpy(to, from, bytes);
  });
  return simt::answer();
}
inline cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  return cudaMemcpyAsync(to, from, bytes, kind, nullptr);
}
inline cudaError_t cudaMemsetAsync(void* memory, int value, std::size_t bytes,
                                   cudaStream_t stream) {
  simt::submit(stream, [=] {
    const simt::device_memory_access access;
    __builtin_memset(memory, value, bytes);
  });
  return simt::answer();
}

inline cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  *stream = new simt::stream;
  return cudaSuccess;
}
inline cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  delete stream;
  return cudaSuccess;
}
inline cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  const bool capturing = stream != nullptr && stream->capture != nullptr;
  return simt::answer(capturing ? cudaErrorStreamCaptureUnsupported : cudaSuccess);
}
inline cudaError_t cudaDeviceSynchronize() { return simt::answer(); }
inline cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  const bool capturing = stream != nullptr && stream->capture != nullptr;
  *status = capturing ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
  return simt::answer();
}
inline cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode /*mode*/) {
  stream->capture = std::make_unique<simt::graph>();
  return cudaSuccess;
}
inline cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = stream->capture.release();
  return cudaSuccess;
}
inline cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph,
                                        unsigned long long /*flags*/) {
  *executable = new simt::graph(*graph);
  return cudaSuccess;
}
inline cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t /*stream*/) {
  for (const auto& work : executable->work) work();
  return cudaSuccess;
}
inline cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
inline cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete executable;
  return cudaSuccess;
}

inline cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}
inline cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return simt::answer();
}
inline cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int /*device*/) {
  switch (attribute) {
    case cudaDevAttrMultiProcessorCount:
      *value = 4;
      break;
    case cudaDevAttrComputeCapabilityMajor:
      *value = simt::compute_capability();
      break;
    case cudaDevAttrL2CacheSize:
      *value = 1 << 20;
      break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = simt::most_dynamic_shared;
      break;
  }
  return simt::answer();
}
inline cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes,
                                            const void* pointer) {
  attributes->type = simt::is_device(pointer) ? cudaMemoryTypeDevice : cudaMemoryTypeUnregistered;
  attributes->device = 0;
  return simt::answer();
}
template <class... Parameters>
cudaError_t cudaFuncSetAttribute(void (*kernel)(Parameters...), cudaFuncAttribute /*attribute*/,
                                 int value) {
  simt::allowed_dynamic_shared()[reinterpret_cast<void (*)()>(kernel)] =
      static_cast<std::size_t>(value);
  return simt::answer(value <= simt::most_dynamic_shared ? cudaSuccess : cudaErrorInvalidValue);
}
