// What a support queue does on the CPU: enqueue, gather, rebuild_shadow.
#pragma once

#include <algorithm>
#include <limits>
#include <type_traits>

#include "feaug/core/element.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/row_norm.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/parallel.hpp"
#include "feaug/cpu/core/unit_rows.hpp"
#include "feaug/cpu/queue/screening/codes.hpp"
#include "feaug/queue/support_queue.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

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
