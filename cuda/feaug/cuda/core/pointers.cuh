// Checks that the GPU can use a view's pointer, by asking the driver.
#pragma once

#include "feaug/header_begin.hpp"

#include <cstdint>
#include <string>
#include <string_view>

#include "feaug/core/error.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cuda {

/// Checks the pointer of a view that is read or written: device, managed or mapped host memory,
/// aligned to the element type.
template <class T, std::size_t Rank>
void on_device(std::string_view op, std::string_view argument,
               const tensor_view<T, Rank, memory_space::device>& view) {
  if (view.empty() || view.data == nullptr) return;
  if (reinterpret_cast<std::uintptr_t>(view.data) % alignof(T) != 0) {
    check::fail(op, argument, "a pointer that is not aligned to its elements",
                "a multiple of " + check::text(alignof(T)) + " bytes");
  }
  cudaPointerAttributes attributes{};
  if (cudaPointerGetAttributes(&attributes, view.data) != cudaSuccess) {
    static_cast<void>(cudaGetLastError());  // the driver does not know the pointer: clear the error
    return;
  }
  if (attributes.type == cudaMemoryTypeUnregistered) {
    check::fail(op, argument, "a pointer to ordinary host memory", "device memory");
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
void require_reachable(const cuda_context& /*ctx*/, std::string_view op, std::string_view argument,
                       const View& view) {
  cuda::on_device(op, argument, view);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
