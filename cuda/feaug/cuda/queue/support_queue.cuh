// CUDA implementation of enqueue and gather: store rows in a support queue, copy rows out of it.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <limits>

#include "feaug/core/element.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/l2_norm.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/core/pointers.cuh"
#include "feaug/cuda/core/vec4.cuh"
#include "feaug/cuda/queue/device_queue.cuh"
#include "feaug/queue/support_queue.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cuda::inline FEAUG_CUBLAS_NAMESPACE {

/// An invalid cursor counts as 0.
FEAUG_HD constexpr index_t valid_cursor(index_t cursor, index_t capacity) {
  return cursor >= 0 && cursor < capacity ? cursor : 0;
}

/// Wraps a position below 2·capacity around the ring.
FEAUG_HD constexpr index_t wrapped(index_t position, index_t capacity) {
  return position < capacity ? position : position - capacity;
}

/// Writes row i of a batch to its slot. The counters still have their values from before the batch.
template <element T>
struct enqueue_rows {
  device_support_queue<T> queue;
  device_matrix<const T> batch;
  device_enqueue_payload payload;
  const double* inverse_norms;  ///< null: rows are stored as they are
  index_t skipped;              ///< number of leading rows that later rows of the batch overwrite
  index_t skipped_slots;        ///< the same, modulo the capacity

  __device__ void operator()(const vec4& q) const {
    // Only the last `capacity` rows of a larger batch are stored.
    if (q.row < skipped) return;
    const index_t capacity = queue.storage.rows();
    const index_t begin = wrapped(valid_cursor(*queue.cursor, capacity) + skipped_slots, capacity);
    const index_t slot = wrapped(begin + q.row - skipped, capacity);
    if (inverse_norms == nullptr) {
      for (int lane = 0; lane < q.count; ++lane)
        queue.storage(slot, q.first + lane) = batch(q.row, q.first + lane);
    } else {
      compute_t<T> values[4];
      load_vec4(batch.row(q.row), q, values);
      for (int lane = 0; lane < 4; ++lane) {
        values[lane] =
            static_cast<compute_t<T>>(static_cast<double>(values[lane]) * inverse_norms[q.row]);
      }
      store_vec4(queue.storage.row(slot), q, values);
    }
    if (q.first != 0) return;
    if (!queue.ids.empty()) queue.ids[slot] = payload.ids[q.row];
    if (!queue.labels.empty()) queue.labels[slot] = payload.labels[q.row];
  }
};

// Advances the counters by a batch, in one thread. Limited by launch latency. (All kernels are
// templates, because nvcc has no inline kernels.)
template <class Counter>
__global__ void advance_counters_kernel(Counter* cursor, Counter* size, Counter capacity,
                                        Counter rows) {
  *cursor = wrapped(valid_cursor(*cursor, capacity) + rows % capacity, capacity);
  const Counter filled = *size + rows;
  *size = filled < capacity ? filled : capacity;
}

/// Copies the queue's rows and payload at `indices` to the outputs.
template <element T>
struct gather_rows {
  device_support_queue<T> queue;
  device_vector<const index_t> indices;
  gather_outputs<T, memory_space::device> outputs;
  T nothing;  ///< value of rows without a valid slot

  __device__ void operator()(const vec4& q) const {
    const index_t slot = indices[q.row];
    const bool filled = slot >= 0 && slot < *queue.size;
    if (outputs.values.data != nullptr) {
      T* const to = outputs.values.row(q.row) + q.first;
      for (int lane = 0; lane < q.count; ++lane)
        to[lane] = filled ? queue.storage.row(slot)[q.first + lane] : nothing;
    }
    if (q.first != 0) return;
    if (!outputs.ids.empty()) outputs.ids[q.row] = filled ? queue.ids[slot] : -1;
    if (!outputs.labels.empty()) outputs.labels[q.row] = filled ? queue.labels[slot] : -1;
  }
};

}  // namespace cuda

/// Slots and rows are bitwise those of the CPU. Scratch: 8 bytes a row of the batch.
template <>
struct detail::support_queue_on<cuda_context> {
  template <element T>
  static void enqueue(cuda_context& ctx, const device_support_queue<T>& queue,
                      const device_matrix<const T>& batch, const device_enqueue_payload& payload) {
    const index_t rows = batch.rows();
    cuda::operation call(ctx, "enqueue");
    double* inverse = nullptr;
    if (queue.normalize) {
      inverse = call.take<double>(rows);
      cuda::row_norms(call, batch, cuda::norm_output::inverse, default_norm_eps, inverse);
    }
    const index_t skipped = std::max<index_t>(0, rows - queue.capacity());
    cuda::for_each_vec4(
        call, rows, batch.cols(), {},
        cuda::enqueue_rows<T>{queue, batch, payload, inverse, skipped, skipped % queue.capacity()});
    call.launch(cuda::advance_counters_kernel<index_t>, 1, 1, 0, queue.cursor, queue.size,
                queue.capacity(), rows);
  }

  template <element T>
  static void gather(cuda_context& ctx, const device_support_queue<T>& queue,
                     const device_vector<const index_t>& indices,
                     const gather_outputs<T, memory_space::device>& outputs) {
    const T nan = store<T>(std::numeric_limits<compute_t<T>>::quiet_NaN());
    const cuda::operation call(ctx, "gather");
    cuda::for_each_vec4(call, indices.size(), queue.storage.cols(), {},
                        cuda::gather_rows<T>{queue, indices, outputs, nan});
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
