// A support queue in device memory: its types, and whether the GPU can reach it.
#pragma once

#include <string_view>

#include "feaug/core/element.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/pointers.cuh"
#include "feaug/queue/support_queue.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// A queue whose storage, counters and payload all lie in device memory.
template <element T>
using device_support_queue = support_queue<T, memory_space::device>;
using device_enqueue_payload = basic_enqueue_payload<memory_space::device>;

namespace cuda {

template <element T>
void on_device(std::string_view op, const device_support_queue<T>& queue) {
  on_device(op, "queue.storage", queue.storage);
  on_device(op, "queue.cursor", device_vector<index_t>(queue.cursor, 1));
  on_device(op, "queue.size", device_vector<index_t>(queue.size, 1));
  on_device(op, "queue.ids", queue.ids);
  on_device(op, "queue.labels", queue.labels);
}

}  // namespace cuda
}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
