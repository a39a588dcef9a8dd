// CUDA backend of the handlers: XLA's stream and XLA's scratch memory.
#pragma once

#include <cuda_runtime.h>
#include <xla/ffi/api/ffi.h>

#include <cstddef>
#include <feaug/cuda/core/context.cuh>
#include <feaug/cuda/core/error.cuh>
#include <map>
#include <optional>
#include <utility>

namespace feaug_jax {

using context = feaug::cuda_context;

/// Information about the call for a handler, besides its arguments.
struct caller {
  cudaStream_t stream;
  xla::ffi::ScratchAllocator scratch;
};

/// Scratch memory from XLA, so that feaug keeps no memory of its own between calls.
class xla_memory : public feaug::device_memory_resource {
 public:
  explicit xla_memory(xla::ffi::ScratchAllocator& scratch) : scratch_(scratch) {}
  void* allocate(std::size_t bytes, cudaStream_t /*stream*/) override {
    return scratch_.Allocate(bytes, 256).value_or(nullptr);
  }
  /// XLA frees everything when the handler returns. It reuses the memory on the same stream, and
  /// therefore after this call's kernels.
  void deallocate(void* /*memory*/, std::size_t /*bytes*/, cudaStream_t /*stream*/) override {}

 private:
  xla::ffi::ScratchAllocator& scratch_;
};

/// Runs body(context) with a context for this call.
template <class Body>
void lend_context(caller& from, const Body& body) {
  // The cuBLAS handles of this thread, one per device, since they are expensive to create.
  thread_local std::map<int, decltype(context::cublas)> handles;
  int device = 0;
  feaug::cuda::succeed("feaug_jax", "cudaGetDevice", cudaGetDevice(&device));
  xla_memory memory(from.scratch);
  context lent{.stream = from.stream, .resource = &memory};
  std::swap(lent.cublas, handles[device]);
  body(lent);
  std::swap(lent.cublas, handles[device]);
}

}  // namespace feaug_jax

template <>
struct xla::ffi::CtxDecoding<feaug_jax::caller> {
  using Type = feaug_jax::caller;
  static std::optional<Type> Decode(const XLA_FFI_Api* api, XLA_FFI_ExecutionContext* call,
                                    DiagnosticEngine& diagnostic) {
    auto stream = CtxDecoding<PlatformStream<cudaStream_t>>::Decode(api, call, diagnostic);
    auto scratch = CtxDecoding<ScratchAllocator>::Decode(api, call, diagnostic);
    if (!stream || !scratch) return std::nullopt;
    return Type{*stream, std::move(*scratch)};
  }
};
