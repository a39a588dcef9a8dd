// The execution resources of a call: XLA's stream and scratch memory, or the number of threads.
#pragma once

#include <xla/ffi/api/ffi.h>

#include <atomic>
#include <cstddef>
#include <optional>
#include <utility>

#include "kernels.hpp"

#if defined(FEAUG_PYTHON_CUDA)
#include <cuda_runtime_api.h>
#endif

namespace feaug_jax {

namespace ffi = xla::ffi;

#if defined(FEAUG_PYTHON_CUDA)
/// XLA frees the scratch memory when the handler returns, so nothing has to be given back.
class resources {
 public:
  resources(cudaStream_t stream, ffi::ScratchAllocator scratch)
      : stream_(stream), scratch_(std::move(scratch)) {}
  [[nodiscard]] feaug_python::caller caller() {
    return {.stream = stream_,
            .allocator = &scratch_,
            .allocate = [](void* scratch, std::size_t bytes) -> void* {
              return static_cast<ffi::ScratchAllocator*>(scratch)
                  ->Allocate(bytes, 256)
                  .value_or(nullptr);
            },
            .deallocate = [](void* /*scratch*/, void* /*memory*/) {}};
  }

 private:
  cudaStream_t stream_;
  ffi::ScratchAllocator scratch_;
};
#else
/// 0: as many as the machine has. Read at the start of every call; results do not depend on it.
inline std::atomic<int> threads{0};

class resources {
 public:
  [[nodiscard]] static feaug_python::caller caller() { return {.threads = threads}; }
};
#endif

}  // namespace feaug_jax

template <>
struct xla::ffi::CtxDecoding<feaug_jax::resources> {
  using Type = feaug_jax::resources;
#if defined(FEAUG_PYTHON_CUDA)
  static std::optional<Type> Decode(const XLA_FFI_Api* api, XLA_FFI_ExecutionContext* call,
                                    DiagnosticEngine& diagnostic) {
    auto stream = CtxDecoding<PlatformStream<cudaStream_t>>::Decode(api, call, diagnostic);
    auto scratch = CtxDecoding<ScratchAllocator>::Decode(api, call, diagnostic);
    if (!stream || !scratch) return std::nullopt;
    return Type{*stream, std::move(*scratch)};
  }
#else
  static std::optional<Type> Decode(const XLA_FFI_Api* /*api*/, XLA_FFI_ExecutionContext* /*call*/,
                                    DiagnosticEngine& /*diagnostic*/) {
    return Type{};
  }
#endif
};
