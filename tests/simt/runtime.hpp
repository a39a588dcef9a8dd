// CPU emulation of the part of CUDA's host API that feaug and its tests call: memory, streams,
// graphs, errors.
//
// A stream runs its work immediately; a capturing stream stores it for the graph. Calls that CUDA
// refuses during a capture (allocation, synchronisation) fail here, too. The use of a destroyed
// stream, which CUDA leaves undefined, ends the program. Tests choose what the GPU is: its number,
// its shared memory, and the architecture that the program was compiled for (simt::machine).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <set>
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
  cudaErrorInsufficientDriver = 35,
  cudaErrorNoDevice = 100,
  cudaErrorInvalidDevice = 101,
  cudaErrorNotReady = 600,
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
  cudaDevAttrMaxSharedMemoryPerBlockOptin = 97
};
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };
struct cudaPointerAttributes {
  cudaMemoryType type;
  int device;
};
struct cudaFuncAttributes {
  int ptxVersion;
  int binaryVersion;
};

namespace simt {

struct graph {
  std::vector<std::function<void()>> work;
};

struct stream {
  std::unique_ptr<graph> capture;
};

/// What the emulated GPUs are.
struct machine {
  int device = 0;                  ///< the current GPU; 0 or 1
  int ptx_version = 80;            ///< 10 · architecture that the program was compiled for
  int dynamic_shared = 163 << 10;  ///< most dynamic shared memory of a block, on sm_80
};
inline machine& current_machine() {
  static machine one;
  return one;
}

/// The streams that exist.
inline std::set<const stream*>& live_streams() {
  static std::set<const stream*> all;
  return all;
}
/// Ends the program if the stream has been destroyed.
inline void require_live(const stream* used, const char* by) {
  if (used == nullptr || live_streams().contains(used)) return;
  std::fprintf(stderr, "simt: %s uses a destroyed stream\n", by);
  std::abort();
}

/// GPUs of the allocations, by address.
inline std::map<const void*, int>& owners() {
  static std::map<const void*, int> all;
  return all;
}
/// The GPU of a pointer into device memory.
inline int owner_of(const void* pointer) {
  auto next = owners().upper_bound(pointer);
  return next == owners().begin() ? 0 : std::prev(next)->second;
}

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
/// What cudaGetLastError returns next: the error of the last call that failed.
inline cudaError_t& last_error() {
  static cudaError_t one = cudaSuccess;
  return one;
}
inline cudaError_t answer(cudaError_t otherwise = cudaSuccess) {
  planned_failure& planned = next_failure();
  const bool fails = planned.calls >= 0 && planned.calls-- == 0;
  const cudaError_t result = fails ? planned.error : otherwise;
  if (result != cudaSuccess) last_error() = result;
  return result;
}

/// Runs `work` now or, if the stream is capturing, when its graph is launched.
inline void submit(stream* on, std::function<void()> work) {
  if (on != nullptr && on->capture != nullptr) {
    on->capture->work.push_back(std::move(work));
  } else {
    work();
  }
}

/// Dynamic shared memory that a kernel may use without cudaFuncSetAttribute.
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
  require_live(on, "a kernel launch");
  const cudaError_t result = answer();
  if (result != cudaSuccess) return result;
  if (dynamic_shared_bytes > dynamic_shared_without_asking &&
      dynamic_shared_bytes > allowed_dynamic_shared()[reinterpret_cast<void (*)()>(kernel)]) {
    return last_error() = cudaErrorInvalidValue;
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
    case cudaErrorInsufficientDriver:
      return "cudaErrorInsufficientDriver";
    case cudaErrorNoDevice:
      return "cudaErrorNoDevice";
    case cudaErrorInvalidDevice:
      return "cudaErrorInvalidDevice";
    case cudaErrorNotReady:
      return "cudaErrorNotReady";
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
inline cudaError_t cudaPeekAtLastError() { return simt::last_error(); }
inline cudaError_t cudaGetLastError() { return std::exchange(simt::last_error(), cudaSuccess); }

inline cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
  const cudaError_t result = simt::answer();
  if (result != cudaSuccess) return result;
  *memory = simt::allocate_device(bytes);
  if (*memory == nullptr) return simt::last_error() = cudaErrorMemoryAllocation;
  simt::owners()[*memory] = simt::current_machine().device;
  return cudaSuccess;
}
inline cudaError_t cudaFree(void* memory) {
  simt::owners().erase(memory);
  return memory == nullptr || simt::free_device(memory) ? cudaSuccess : cudaErrorInvalidValue;
}
inline cudaError_t cudaMallocAsync(void** memory, std::size_t bytes, cudaStream_t stream) {
  simt::require_live(stream, "cudaMallocAsync");
  if (stream != nullptr && stream->capture != nullptr) return cudaErrorStreamCaptureUnsupported;
  return cudaMalloc(memory, bytes);
}
inline cudaError_t cudaFreeAsync(void* memory, cudaStream_t stream) {
  simt::require_live(stream, "cudaFreeAsync");
  return cudaFree(memory);
}

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
  simt::live_streams().insert(*stream);
  return cudaSuccess;
}
inline cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  simt::live_streams().erase(stream);
  delete stream;
  return cudaSuccess;
}
inline cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  simt::require_live(stream, "cudaStreamSynchronize");
  const bool capturing = stream != nullptr && stream->capture != nullptr;
  return simt::answer(capturing ? cudaErrorStreamCaptureUnsupported : cudaSuccess);
}
inline cudaError_t cudaDeviceSynchronize() {
  const bool captures = std::ranges::any_of(
      simt::live_streams(), [](const simt::stream* one) { return one->capture != nullptr; });
  return simt::answer(captures ? cudaErrorStreamCaptureUnsupported : cudaSuccess);
}
inline cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  simt::require_live(stream, "cudaStreamIsCapturing");
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
  *count = 2;
  return cudaSuccess;
}
inline cudaError_t cudaGetDevice(int* device) {
  *device = simt::current_machine().device;
  return simt::answer();
}
inline cudaError_t cudaSetDevice(int device) {
  if (device < 0 || device > 1) return simt::answer(cudaErrorInvalidDevice);
  simt::current_machine().device = device;
  return simt::answer();
}
inline cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int /*device*/) {
  switch (attribute) {
    case cudaDevAttrMultiProcessorCount:
      *value = 4;
      break;
    case cudaDevAttrL2CacheSize:
      *value = 1 << 20;
      break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = simt::current_machine().dynamic_shared;
      break;
  }
  return simt::answer();
}
inline cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes,
                                            const void* pointer) {
  attributes->type = simt::is_device(pointer) ? cudaMemoryTypeDevice : cudaMemoryTypeUnregistered;
  attributes->device = simt::owner_of(pointer);
  return simt::answer();
}
template <class... Parameters>
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes,
                                  void (* /*kernel*/)(Parameters...)) {
  // The emulated GPU's own architecture is later than any that tests choose for the program.
  *attributes = {.ptxVersion = simt::current_machine().ptx_version, .binaryVersion = 90};
  return simt::answer();
}
template <class... Parameters>
cudaError_t cudaFuncSetAttribute(void (*kernel)(Parameters...), cudaFuncAttribute /*attribute*/,
                                 int value) {
  simt::allowed_dynamic_shared()[reinterpret_cast<void (*)()>(kernel)] =
      static_cast<std::size_t>(value);
  return simt::answer(value <= simt::current_machine().dynamic_shared ? cudaSuccess
                                                                      : cudaErrorInvalidValue);
}
