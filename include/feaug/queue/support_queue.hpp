// The support queue: the last so many features, in the host's own memory.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

#include "feaug/core/any_context.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/tensor_view.hpp"
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

/// visit(name, view) for everything of a queue that both backends keep.
template <element T, memory_space S, class Visit>
void for_each_view(const support_queue<T, S>& queue, const Visit& visit) {
  visit("queue.storage", queue.storage);
  visit("queue.cursor", vector_view<index_t, S>(queue.cursor, 1));
  visit("queue.size", vector_view<index_t, S>(queue.size, 1));
  visit("queue.ids", queue.ids);
  visit("queue.labels", queue.labels);
}

/// The context's processor can reach a queue.
template <any_context Context, element T>
void require_queue_reachable(const Context& ctx, std::string_view op,
                             const support_queue<T, Context::space>& queue) {
  for_each_view(queue, [&](std::string_view name, const auto& view) {
    require_reachable(ctx, op, name, view);
  });
}

/// What a context does with a queue: enqueue and gather, for arguments that are checked.
template <class Context>
struct support_queue_on {
  static_assert(is_included<Context>,
                "include feaug/cpu/queue/support_queue.hpp or feaug/cuda/queue/support_queue.cuh");
};

}  // namespace detail

/// Puts the batch's rows (N × D, any N) into the queue, first row first: a row goes to slot
/// *cursor, which moves on by one and wraps; *size grows up to the capacity. Of a batch larger than
/// the capacity the last rows survive, where pushing one by one would have left them. Rows are
/// stored as x / max(‖x‖, 1e-12), or as they are with queue.normalize = false; a row with NaN or ∞
/// is stored as a unit row of NaN, which no search prefers to a number. A queue holds constants:
/// there is no gradient. A shadow is kept up.
///
/// On a GPU the counters are read and advanced in device memory, so that a captured graph goes on
/// where its last launch ended; a cursor that no queue can have is not refused, but counts as 0.
///
/// Errors: shapes, counters out of range, a shadow of another size, payload that the queue keeps
/// but the batch lacks or the other way round, a batch or payload that overlaps the queue's own
/// memory.
template <any_context Context, element T>
void enqueue(Context& ctx, const support_queue<T, Context::space>& queue,
             std::type_identity_t<matrix_view<const T, Context::space>> batch,
             const basic_enqueue_payload<Context::space>& payload = {}) {
  constexpr std::string_view op = "enqueue";
  check::enqueue_arguments<T>(queue, batch, payload);
  if (batch.rows() == 0) return;
  detail::require_queue_reachable(ctx, op, queue);
  require_reachable(ctx, op, "batch", batch);
  require_reachable(ctx, op, "ids", payload.ids);
  require_reachable(ctx, op, "labels", payload.labels);
  detail::support_queue_on<Context>::template enqueue<T>(ctx, queue, batch, payload);
}

/// What is stored at the given slots (one a row, −1 … *size − 1, repeats allowed), as it is stored.
/// Slot −1, where nearest found none, gives a row of NaN, and −1 for id and label. On a GPU a slot
/// that is not filled cannot be refused: it gives what slot −1 gives.
///
/// Errors: a slot that is not filled, shapes, ids or labels that the queue does not keep, an output
/// that overlaps an input.
template <any_context Context, element T>
void gather(Context& ctx, const support_queue<T, Context::space>& queue,
            vector_view<const index_t, Context::space> indices,
            const std::type_identity_t<gather_outputs<T, Context::space>>& outputs) {
  constexpr std::string_view op = "gather";
  check::gather_arguments<T>(queue, indices, outputs);
  if (indices.empty()) return;
  detail::require_queue_reachable(ctx, op, queue);
  require_reachable(ctx, op, "indices", indices);
  require_reachable(ctx, op, "values", outputs.values);
  require_reachable(ctx, op, "ids", outputs.ids);
  require_reachable(ctx, op, "labels", outputs.labels);
  detail::support_queue_on<Context>::template gather<T>(ctx, queue, indices, outputs);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
