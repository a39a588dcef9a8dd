// Types of a support queue in device memory, and the check of its pointers.
#pragma once

#include "feaug/header_begin.hpp"

#include <string_view>

#include "feaug/core/element.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/pointers.cuh"
#include "feaug/queue/support_queue.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// A queue with storage, counters and payload in device memory.
template <element T>
using device_support_queue = support_queue<T, memory_space::device>;
using device_enqueue_payload = basic_enqueue_payload<memory_space::device>;

namespace cuda::inline FEAUG_CUBLAS_NAMESPACE {

template <element T>
void on_device(std::string_view op, const device_support_queue<T>& queue) {
  feaug::detail::for_each_view(
      queue, [op](std::string_view name, const auto& view) { on_device(op, name, view); });
}

}  // namespace cuda
}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
