// The helper object of every GPU operator call: it allocates scratch memory, launches kernels and
// reports CUDA errors with the operator's name.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/error.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda::inline FEAUG_CUBLAS_NAMESPACE {

/// Number of CUDA blocks for `items` work items, at most `max_blocks`. Kernels use grid-stride
/// loops, so results are correct for any number of blocks.
inline unsigned grid_size(index_t items, index_t items_per_block, index_t max_blocks = 65535) {
  const index_t blocks = (items + items_per_block - 1) / items_per_block;
  return static_cast<unsigned>(std::clamp<index_t>(blocks, 1, max_blocks));
}

/// Created at the start of an operator call, before it enqueues anything. Checks the context and
/// earlier CUDA errors. Releases its scratch memory when it is destroyed.
class operation {
 public:
  operation(cuda_context& ctx, std::string_view op)
      : ctx_(ctx), op_(op), is_captured_(enter(ctx, op)), scratch_(ctx.workspace) {}

  [[nodiscard]] std::string_view name() const { return op_; }
  [[nodiscard]] cuda_context& context() const { return ctx_; }
  [[nodiscard]] cudaStream_t stream() const { return ctx_.stream; }

  /// An uninitialised array in device memory, valid until the call ends.
  template <class T>
  [[nodiscard]] T* take(index_t count) {
    // (An operator that this one called has set its own name.)
    ctx_.workspace.take_memory_from(memory_of(ctx_, op_, is_captured_));
    return scratch_.template take<T>(count);
  }

  /// The same, with every byte 0.
  template <class T>
  [[nodiscard]] T* take_zeros(index_t count) {
    T* const memory = take<T>(count);
    set_zero(memory, count);
    return memory;
  }
  template <class T>
  void set_zero(T* memory, index_t count) const {
    succeed(op_, "cudaMemsetAsync",
            cudaMemsetAsync(memory, 0, static_cast<std::size_t>(count) * sizeof(T), ctx_.stream));
  }

  /// Allows a kernel more dynamic shared memory than the default 48 KiB.
  template <class... Parameters>
  void allow_dynamic_shared(void (*kernel)(Parameters...), std::size_t bytes) const {
    succeed(op_, "cudaFuncSetAttribute",
            cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                 static_cast<int>(bytes)));
  }

  /// kernel<<<grid, block, dynamic shared memory, stream>>>(arguments…)
  template <class... Parameters>
  void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block,
              std::size_t dynamic_shared_bytes,
              const std::type_identity_t<Parameters>&... arguments) const {
#if defined(__CUDACC__)
    // (kernel<<<…>>> would report by cudaGetLastError, which may hold an error of other code.)
    void* pointers[] = {const_cast<void*>(static_cast<const void*>(&arguments))...};
    const cudaError_t result =
        cudaLaunchKernel(kernel, grid, block, pointers, dynamic_shared_bytes, ctx_.stream);
#else
    const cudaError_t result =
        simt::launch(ctx_.stream, kernel, grid, block, dynamic_shared_bytes, arguments...);
#endif
    succeed(op_, "kernel launch", result);
  }

 private:
  static device_memory memory_of(const cuda_context& ctx, std::string_view op, bool is_captured) {
    return {.stream = ctx.stream,
            .device = ctx.home->device,
            .resource = ctx.resource,
            .op = op,
            .is_captured = is_captured};
  }

  /// Returns whether the stream is being captured.
  static bool enter(cuda_context& ctx, std::string_view op) {
    require_no_earlier_error(op);
    const int device = current_device(op);
    require_home(ctx.home, op, ctx.stream, device);
    const bool is_captured = is_capturing(op, ctx.stream);
    if (!ctx.home) ctx.home = home{.stream = ctx.stream, .device = device};
    ctx.workspace.take_memory_from(memory_of(ctx, op, is_captured));
    return is_captured;
  }

  cuda_context& ctx_;
  std::string_view op_;
  bool is_captured_;
  device_workspace::scope scratch_;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda

#include "feaug/header_end.hpp"
