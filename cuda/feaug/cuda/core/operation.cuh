// One operator's call: its name for errors, its scratch memory, its launches.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/error.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda {

/// Blocks for `work` items at `a_block` each. Kernels stride over the grid, so that a cap is always
/// right.
inline unsigned grid_size(index_t work, index_t a_block, index_t most = 65535) {
  return static_cast<unsigned>(std::clamp<index_t>((work + a_block - 1) / a_block, 1, most));
}

class operation {
 public:
  operation(cuda_context& ctx, std::string_view op)
      : ctx_(ctx), op_(op), scratch_((prepare(ctx, op), ctx.workspace)) {}

  [[nodiscard]] std::string_view name() const { return op_; }
  [[nodiscard]] cuda_context& context() const { return ctx_; }
  [[nodiscard]] cudaStream_t stream() const { return ctx_.stream; }

  /// An array in device memory until the call ends. Not initialised.
  template <class T>
  [[nodiscard]] T* take(index_t count) {
    ctx_.workspace.take_memory_from(memory_of(ctx_, op_));
    return scratch_.template take<T>(count);
  }

  /// Every byte 0.
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

  /// Asks for more dynamic shared memory than the 48 KiB that every kernel may use.
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
    kernel<<<grid, block, dynamic_shared_bytes, ctx_.stream>>>(arguments...);
    const cudaError_t result = cudaGetLastError();
#else
    const cudaError_t result =
        simt::launch(ctx_.stream, kernel, grid, block, dynamic_shared_bytes, arguments...);
#endif
    succeed(op_, "kernel launch", result);
  }

 private:
  static device_memory memory_of(const cuda_context& ctx, std::string_view op) {
    return {.stream = ctx.stream, .resource = ctx.resource, .op = op};
  }
  static void prepare(cuda_context& ctx, std::string_view op) {
    ctx.workspace.take_memory_from(memory_of(ctx, op));
  }

  cuda_context& ctx_;
  std::string_view op_;
  device_workspace::scope scratch_;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda
