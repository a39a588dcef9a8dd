// The support queue: the last so many features, in the host's own memory.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>

#include "feaug/core/error.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/parallel.hpp"
#include "feaug/cpu/core/unit_rows.hpp"
#include "feaug/cpu/queue/screening/codes.hpp"
#include "feaug/queue/queue_shadow.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// A view of a first-in-first-out queue of feature rows. Storage, counters and payload belong to
/// the host, so its checkpoint saves them and a queue over the restored bytes goes on bit for bit.
/// Begin with *cursor = *size = 0; storage needs no value. On a GPU all of it is device memory, the
/// counters too.
template <element T, memory_space Space = memory_space::host>
struct support_queue {
  matrix_view<T, Space> storage;  ///< capacity × D
  index_t* cursor = nullptr;      ///< the slot that the next row goes to, 0 … capacity − 1
  index_t* size = nullptr;        ///< filled slots: 0 … size − 1. Only these are ever read
  bool normalize = true;          ///< whether rows are stored as unit rows
  /// Optional, one a slot: which sample a row came from.
  vector_view<std::int64_t, Space> ids = {};
  /// Optional, one a slot: for reporting neighbour accuracy.
  vector_view<std::int64_t, Space> labels = {};
  /// Optional, of a queue in the host's memory: makes its searches several times faster, with the
  /// same results.
  queue_shadow shadow = {};

  [[nodiscard]] index_t capacity() const { return storage.rows(); }
};

/// What travels with the rows of a batch: for a queue with ids or labels, one a row.
template <memory_space Space>
struct basic_enqueue_payload {
  vector_view<const std::int64_t, Space> ids = {};
  vector_view<const std::int64_t, Space> labels = {};
};
using enqueue_payload = basic_enqueue_payload<memory_space::host>;

/// Where gather writes; leave out what is not wanted.
template <element T, memory_space Space = memory_space::host>
struct gather_outputs {
  matrix_view<T, Space> values = {};             ///< rows × D, as stored
  vector_view<std::int64_t, Space> ids = {};     ///< one a row
  vector_view<std::int64_t, Space> labels = {};  ///< one a row
};

namespace check {

/// Counters in the host's memory that fit the queue's capacity.
template <element T>
void valid_counters(std::string_view op, const support_queue<T>& queue) {
  within(op, "queue.cursor", *queue.cursor, 0, queue.capacity() - 1);
  within(op, "queue.size", *queue.size, 0, queue.capacity());
  // Until it is full a queue fills slot after slot; other counters were not restored from one and
  // the same moment.
  if (*queue.size < queue.capacity() && *queue.cursor != *queue.size) {
    fail(op, "queue.cursor", text(*queue.cursor) + " with " + text(*queue.size) + " filled slots",
         text(*queue.size) + ", the first free slot");
  }
}

/// A queue whose counters and payload fit its storage. Counters in device memory are not read.
template <element T, memory_space S>
void valid(std::string_view op, const support_queue<T, S>& queue) {
  writable(op, "queue.storage", queue.storage);
  not_empty(op, "queue.storage", queue.storage);
  const std::string wanted =
      S == memory_space::host ? "a counter in the host's memory" : "a counter in device memory";
  if (queue.cursor == nullptr) fail(op, "queue.cursor", "a null pointer", wanted);
  if (queue.size == nullptr) fail(op, "queue.size", "a null pointer", wanted);
  if (queue.cursor == queue.size)
    fail(op, "queue.size", "the same counter as queue.cursor", "one of its own");
  if constexpr (S == memory_space::host) valid_counters(op, queue);
  const auto payload = [&](std::string_view name, const vector_view<std::int64_t, S>& column) {
    writable(op, name, column);
    if (!column.empty()) has_size(op, name, column, queue.capacity(), "the queue's capacity");
  };
  payload("queue.ids", queue.ids);
  payload("queue.labels", queue.labels);
  if constexpr (S == memory_space::host) {
    valid(op, queue.shadow, queue.capacity(), queue.storage.cols());
  } else if (!queue.shadow.empty()) {
    fail(op, "queue.shadow", "one", "none for a queue in device memory");
  }
}

/// A batch that overlaps nothing that enqueue writes.
template <element T>
void apart_from_shadow(const queue_shadow& shadow, const matrix_view<const T>& batch) {
  apart("enqueue", "queue.shadow.codes", detail::as_column(shadow.codes), "batch", batch);
  apart("enqueue", "queue.shadow.bounds", detail::as_column(shadow.bounds), "batch", batch);
}

/// A payload argument that goes with a payload column of the queue: it fits the rows, and the queue
/// keeps the column.
template <class A, memory_space S>
void payload_matches(std::string_view op, std::string_view argument, const vector_view<A, S>& given,
                     const vector_view<std::int64_t, S>& column, index_t rows, bool required) {
  readable(op, argument, given);
  if (given.empty()) {
    if (required && !column.empty() && rows > 0) {
      fail(op, argument, "none", text(rows) + ", since the queue keeps them");
    }
    return;
  }
  if (column.empty())
    fail(op, argument, text(given.size()) + " elements", "none, since the queue keeps none");
  has_size(op, argument, given, rows, "one a row");
  apart(op, argument, detail::as_column(given), "queue." + std::string(argument),
        detail::as_column(column));
}

/// The arguments of enqueue.
template <element T, memory_space S>
void enqueue_arguments(const support_queue<T, S>& queue, const matrix_view<const T, S>& batch,
                       const basic_enqueue_payload<S>& payload) {
  valid("enqueue", queue);
  readable("enqueue", "batch", batch);
  const index_t rows = batch.rows();
  if (rows > 0) has_columns("enqueue", "batch", batch, queue.storage.cols(), "queue.storage");
  apart("enqueue", "queue.storage", queue.storage, "batch", batch);
  if constexpr (S == memory_space::host) apart_from_shadow(queue.shadow, batch);
  payload_matches("enqueue", "ids", payload.ids, queue.ids, rows, true);
  payload_matches("enqueue", "labels", payload.labels, queue.labels, rows, true);
}

/// The arguments of gather; the slots themselves only if the host can read them.
template <element T, memory_space S>
void gather_arguments(const support_queue<T, S>& queue,
                      const vector_view<const index_t, S>& indices,
                      const gather_outputs<T, S>& outputs) {
  valid("gather", queue);
  readable("gather", "indices", indices);
  const index_t rows = indices.size();
  if constexpr (S == memory_space::host) {
    for (index_t i = 0; i < rows; ++i) within("gather", "indices", indices[i], -1, *queue.size - 1);
  }
  writable("gather", "values", outputs.values);
  if (outputs.values.data != nullptr) {
    has_shape("gather", "values", outputs.values, rows, queue.storage.cols(),
              "indices and queue.storage");
    apart("gather", "values", outputs.values, "queue.storage", queue.storage);
    apart("gather", "values", outputs.values, "indices", detail::as_column(indices));
  }
  using payload_view = vector_view<std::int64_t, S>;
  const auto payload = [&](std::string_view name, const payload_view& output,
                           const payload_view& column) {
    writable("gather", name, output);
    payload_matches("gather", name, output, column, rows, false);
    apart("gather", name, detail::as_column(output), "indices", detail::as_column(indices));
  };
  payload("ids", outputs.ids, queue.ids);
  payload("labels", outputs.labels, queue.labels);
}

}  // namespace check

namespace detail {

/// Makes the shadow of a slot from what is stored there.
template <element T>
void shadow_slot(const support_queue<T>& queue, index_t slot) {
  const T* const row = queue.storage.row(slot);
  const index_t cols = queue.storage.cols();
  const double inverse =
      queue.normalize ? 1.0 : inverse_norm(row_norm(row, cols), default_norm_eps);
  cpu::write_shadow_row(queue.shadow, slot, row, cols, inverse);
}

}  // namespace detail

/// Puts the batch's rows (N × D, any N) into the queue, first row first: a row goes to slot
/// *cursor, which moves on by one and wraps; *size grows up to the capacity. Of a batch larger than
/// the capacity the last rows survive, where pushing one by one would have left them. Rows are
/// stored as x / max(‖x‖, 1e-12), or as they are with queue.normalize = false; a row with NaN or ∞
/// is stored as a unit row of NaN, which no search prefers to a number. A queue holds constants:
/// there is no gradient. A shadow is kept up.
///
/// Errors: shapes, counters out of range, a shadow of another size, payload that the queue keeps
/// but the batch lacks or the other way round, a batch or payload that overlaps the queue's own
/// memory.
template <element T>
void enqueue(cpu_context& ctx, const support_queue<T>& queue,
             std::type_identity_t<matrix_view<const T>> batch,
             const enqueue_payload& payload = {}) {
  check::enqueue_arguments<T>(queue, batch, payload);
  const index_t rows = batch.rows();
  const index_t capacity = queue.capacity();
  const index_t cols = queue.storage.cols();
  const index_t skipped =
      std::max<index_t>(0, rows - capacity);  // rows that later rows of the batch would overwrite
  const index_t cursor = *queue.cursor;
  cpu::for_each_row_block(ctx, rows - skipped, cols, [&](index_t begin, index_t count, int) {
    for (index_t i = skipped + begin; i < skipped + begin + count; ++i) {
      const index_t slot = (cursor + i % capacity) % capacity;
      const T* source = batch.row(i);
      T* destination = queue.storage.row(slot);
      if (queue.normalize) {
        cpu::normalize_row(source, cols, default_norm_eps, destination);
      } else {
        std::copy_n(source, cols, destination);
      }
      if (!queue.shadow.empty()) detail::shadow_slot(queue, slot);
      if (!queue.ids.empty()) queue.ids[slot] = payload.ids[i];
      if (!queue.labels.empty()) queue.labels[slot] = payload.labels[i];
    }
  });
  *queue.cursor = (cursor + rows % capacity) % capacity;
  *queue.size = std::min(capacity, *queue.size + rows);
}

/// Makes the shadow of all filled rows anew: for rows that came into the queue otherwise than by
/// enqueue with this shadow, as from a checkpoint without one. The bytes that enqueue would have
/// left.
///
/// Errors: a queue without a shadow, or whose parts do not fit.
template <element T>
void rebuild_shadow(cpu_context& ctx, const support_queue<T>& queue) {
  check::valid("rebuild_shadow", queue);
  if (queue.shadow.empty()) check::fail("rebuild_shadow", "queue.shadow", "none", "one to rebuild");
  cpu::for_each_row_block(ctx, *queue.size, queue.storage.cols(),
                          [&](index_t begin, index_t count, int) {
                            for (index_t slot = begin; slot < begin + count; ++slot)
                              detail::shadow_slot(queue, slot);
                          });
}

/// What is stored at the given slots (one a row, −1 … *size − 1, repeats allowed), as it is stored.
/// Slot −1, where nearest found none, gives a row of NaN, and −1 for id and label.
///
/// Errors: a slot that is not filled, shapes, ids or labels that the queue does not keep, an output
/// that overlaps an input.
template <element T>
void gather(cpu_context& ctx, const support_queue<T>& queue, vector_view<const index_t> indices,
            const std::type_identity_t<gather_outputs<T>>& outputs) {
  check::gather_arguments<T>(queue, indices, outputs);
  const index_t rows = indices.size();
  const T nan = store<T>(std::numeric_limits<compute_t<T>>::quiet_NaN());
  cpu::for_each_row_block(ctx, rows, queue.storage.cols(), [&](index_t begin, index_t count, int) {
    for (index_t i = begin; i < begin + count; ++i) {
      const index_t slot = indices[i];
      if (outputs.values.data != nullptr) {
        if (slot < 0) {
          std::fill_n(outputs.values.row(i), outputs.values.cols(), nan);
        } else {
          std::copy_n(queue.storage.row(slot), outputs.values.cols(), outputs.values.row(i));
        }
      }
      if (!outputs.ids.empty()) outputs.ids[i] = slot < 0 ? -1 : queue.ids[slot];
      if (!outputs.labels.empty()) outputs.labels[i] = slot < 0 ? -1 : queue.labels[slot];
    }
  });
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
