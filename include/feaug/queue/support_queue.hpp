// The support queue: the most recent features, in the caller's memory.
#pragma once

#include "feaug/header_begin.hpp"

#include <cstdint>
#include <string_view>
#include <type_traits>

#include "feaug/core/any_context.hpp"
#include "feaug/core/call_memory.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/queue/queue_shadow.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// A view of a first-in-first-out queue of feature rows. Storage, counters and payload belong to
/// the caller: a checkpoint that saves and restores these bytes continues bit-identically.
/// Initialise *cursor = *size = 0; storage needs no initialisation. On a GPU everything is in
/// device memory, the counters too.
template <element T, memory_space Space = memory_space::host>
struct support_queue {
  matrix_view<T, Space> storage;  ///< capacity × D
  index_t* cursor = nullptr;  ///< the slot that the next row is written to, 0 … capacity − 1
  index_t* size = nullptr;    ///< slots 0 … size − 1 are filled; only these are read
  bool normalize = true;      ///< whether rows are stored as unit rows
  /// Optional, one a slot: the sample that a row came from.
  vector_view<std::int64_t, Space> ids = {};
  /// Optional, one a slot: for neighbour_accuracy.
  vector_view<std::int64_t, Space> labels = {};
  /// Optional, host queues only: makes searches several times faster, with identical results.
  queue_shadow shadow = {};

  [[nodiscard]] index_t capacity() const { return storage.rows(); }
};

/// Ids and labels of a batch's rows, one a row; required if the queue has the column.
template <memory_space Space>
struct basic_enqueue_payload {
  vector_view<const std::int64_t, Space> ids = {};
  vector_view<const std::int64_t, Space> labels = {};
};
using enqueue_payload = basic_enqueue_payload<memory_space::host>;

/// Outputs of gather; leave out those that are not needed.
template <element T, memory_space Space = memory_space::host>
struct gather_outputs {
  matrix_view<T, Space> values = {};             ///< rows × D, as stored
  vector_view<std::int64_t, Space> ids = {};     ///< one a row
  vector_view<std::int64_t, Space> labels = {};  ///< one a row
};

namespace detail {

/// Calls visit(name, view) for every part of a queue that exists on both backends (all but the
/// shadow).
template <element T, memory_space S, class Visit>
void for_each_view(const support_queue<T, S>& queue, const Visit& visit) {
  visit("queue.storage", queue.storage);
  visit("queue.cursor", vector_view<index_t, S>(queue.cursor, 1));
  visit("queue.size", vector_view<index_t, S>(queue.size, 1));
  visit("queue.ids", queue.ids);
  visit("queue.labels", queue.labels);
}

}  // namespace detail

namespace check {

/// Adds the parts of a queue to the arguments of a call that writes all of them or none.
template <element T, memory_space S>
call_memory& add_queue(call_memory& memory, const support_queue<T, S>& queue, bool is_written) {
  const auto add = [&](std::string_view name, const auto& view) {
    if (is_written) {
      memory.writes(name, view);
    } else {
      memory.reads(name, view);
    }
  };
  detail::for_each_view(queue, add);
  if constexpr (S == memory_space::host) {
    add("queue.shadow.codes", queue.shadow.codes);
    add("queue.shadow.bounds", queue.shadow.bounds);
  }
  return memory;
}

/// Checks host counters against the queue's capacity.
template <element T>
void valid_counters(std::string_view op, const support_queue<T>& queue) {
  within(op, "queue.cursor", *queue.cursor, 0, queue.capacity() - 1);
  within(op, "queue.size", *queue.size, 0, queue.capacity());
  // A queue that is not full is filled slot after slot, so cursor equals size. Other values were
  // not restored from the same checkpoint.
  if (*queue.size < queue.capacity() && *queue.cursor != *queue.size) {
    fail(op, "queue.cursor", text(*queue.cursor) + " with " + text(*queue.size) + " filled slots",
         text(*queue.size) + ", the first free slot");
  }
}

/// Checks that counters and payload fit the storage. Counters in device memory are not read.
template <element T, memory_space S>
void valid(std::string_view op, const support_queue<T, S>& queue) {
  writable(op, "queue.storage", queue.storage);
  not_empty(op, "queue.storage", queue.storage);
  constexpr std::string_view wanted =
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

/// Checks ids or labels against the queue's column: one a row, and the queue must have the column.
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
}

/// Checks the arguments of enqueue.
template <element T, memory_space S>
void enqueue_arguments(const support_queue<T, S>& queue, const matrix_view<const T, S>& batch,
                       const basic_enqueue_payload<S>& payload) {
  valid("enqueue", queue);
  readable("enqueue", "batch", batch);
  const index_t rows = batch.rows();
  if (rows > 0) has_columns("enqueue", "batch", batch, queue.storage.cols(), "queue.storage");
  payload_matches("enqueue", "ids", payload.ids, queue.ids, rows, true);
  payload_matches("enqueue", "labels", payload.labels, queue.labels, rows, true);
  call_memory memory("enqueue");
  add_queue(memory, queue, true)
      .reads("batch", batch)
      .reads("ids", payload.ids)
      .reads("labels", payload.labels)
      .require_apart();
}

/// Checks the arguments of gather; the slots themselves only if they are in host memory.
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
  }
  using payload_view = vector_view<std::int64_t, S>;
  const auto payload = [&](std::string_view name, const payload_view& output,
                           const payload_view& column) {
    writable("gather", name, output);
    payload_matches("gather", name, output, column, rows, false);
  };
  payload("ids", outputs.ids, queue.ids);
  payload("labels", outputs.labels, queue.labels);
  call_memory memory("gather");
  memory.writes("values", outputs.values).writes("ids", outputs.ids);
  memory.writes("labels", outputs.labels).reads("indices", indices);
  add_queue(memory, queue, false).require_apart();
}

}  // namespace check

namespace detail {

/// Checks that the context's processor can access the queue.
template <any_context Context, element T>
void require_queue_reachable(const Context& ctx, std::string_view op,
                             const support_queue<T, Context::space>& queue) {
  for_each_view(queue, [&](std::string_view name, const auto& view) {
    require_reachable(ctx, op, name, view);
  });
}

/// A context's implementation: enqueue and gather, called with checked arguments.
template <class Context>
struct support_queue_on {
  static_assert(is_included<Context>,
                "include feaug/cpu/queue/support_queue.hpp or feaug/cuda/queue/support_queue.cuh");
};

}  // namespace detail

/// Appends the batch's rows (N × D, any N) to the queue, first row first. A row is written to slot
/// *cursor, which then advances by one and wraps; *size grows up to the capacity. Of a batch larger
/// than the capacity the last rows remain, in the slots where row-by-row calls would have put them.
/// Rows are stored as x / max(‖x‖, 1e-12), or unchanged if queue.normalize is false. A row with NaN
/// or ∞ is normalised to NaN and ranks after every other row in a search. A queue holds constants:
/// there is no gradient. A shadow is updated.
///
/// On a GPU the counters are read and advanced in device memory, so each launch of a captured graph
/// continues where the last one ended. An invalid cursor cannot be reported there and counts as 0.
///
/// Errors: shapes, counters out of range, a shadow of the wrong size, payload that the queue has
/// but the batch lacks or the other way round, a batch or payload that overlaps the queue's memory.
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

/// Copies the contents of the given slots (one a row, −1 … *size − 1, repeats allowed), as stored.
/// Slot −1, which nearest writes for "none", gives a row of NaN, and −1 as id and label. On a GPU
/// an unfilled slot cannot be reported; it is treated as slot −1.
///
/// Errors: an unfilled slot, shapes, ids or labels that the queue does not have, an output that
/// overlaps an input.
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

#include "feaug/header_end.hpp"
