// Checks that the GPU can use a view's pointer, by asking the driver.
#pragma once

#include "feaug/header_begin.hpp"

#include <cstdint>
#include <string>
#include <string_view>

#include "feaug/core/error.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/error.cuh"
#include "feaug/cuda/core/home.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cuda::inline FEAUG_CUBLAS_NAMESPACE {

/// Checks the pointer of a view that is read or written: memory of the current GPU, managed or
/// mapped host memory, aligned to the element type.
template <class T, std::size_t Rank>
void on_device(std::string_view op, std::string_view argument,
               const tensor_view<T, Rank, memory_space::device>& view) {
  if (view.empty() || view.data == nullptr) return;
  if (reinterpret_cast<std::uintptr_t>(view.data) % alignof(T) != 0) {
    check::fail(op, argument, "a pointer that is not aligned to its elements",
                "a multiple of " + check::text(alignof(T)) + " bytes");
  }
  cudaPointerAttributes attributes{};
  succeed(op, "cudaPointerGetAttributes", cudaPointerGetAttributes(&attributes, view.data));
  if (attributes.type == cudaMemoryTypeUnregistered)
    check::fail(op, argument, "a pointer to ordinary host memory", "device memory");
  if (attributes.type != cudaMemoryTypeDevice) return;
  const int device = current_device(op);
  if (attributes.device != device) {
    check::fail(op, argument, "memory of GPU " + check::text(attributes.device),
                "memory of the current GPU, " + check::text(device));
  }
}

template <class T, std::size_t Rank>
void on_device(std::string_view op, std::string_view argument,
               const operand<T, Rank, memory_space::device>& x) {
  on_device(op, argument, x.value);
  if (x.wants_gradient()) on_device(op, "gradient of " + std::string(argument), x.gradient);
}

}  // namespace cuda

template <class View>
void require_reachable(const cuda_context& ctx, std::string_view op, std::string_view argument,
                       const View& view) {
  if (ctx.home) cuda::require_home(ctx.home, op, ctx.stream, cuda::current_device(op));
  cuda::on_device(op, argument, view);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
