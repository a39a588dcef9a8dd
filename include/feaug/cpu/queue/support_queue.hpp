// CPU implementation of enqueue and gather: store rows in a support queue, copy rows out of it.
// Also rebuild_shadow, which only the CPU has, because shadows are in host memory.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <limits>
#include <string_view>

#include "feaug/core/call_memory.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/cpu/core/l2_norm.hpp"
#include "feaug/cpu/core/parallel.hpp"
#include "feaug/cpu/queue/pruning/quantized_rows.hpp"
#include "feaug/queue/support_queue.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cpu {

/// Quantizes the stored row of a slot into the shadow.
template <element T>
void shadow_slot(instruction_set instructions, const support_queue<T>& queue, index_t slot) {
  const T* const row = queue.storage.row(slot);
  const index_t cols = queue.storage.cols();
  const double inverse =
      queue.normalize ? 1.0 : inverse_norm(row_norm(row, cols), default_norm_eps);
  write_shadow_row(instructions, queue.shadow, slot, row, cols, inverse);
}

}  // namespace cpu

template <>
struct detail::support_queue_on<cpu_context> {
  template <element T>
  static void enqueue(cpu_context& ctx, const support_queue<T>& queue,
                      const matrix_view<const T>& batch, const enqueue_payload& payload) {
    const index_t rows = batch.rows();
    const index_t capacity = queue.capacity();
    const index_t cols = queue.storage.cols();
    // Rows that later rows of the same batch would overwrite.
    const index_t skipped = std::max<index_t>(0, rows - capacity);
    const index_t cursor = *queue.cursor;
    const instruction_set instructions = cpu::usable(ctx.instructions);
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
        if (!queue.shadow.empty()) cpu::shadow_slot(instructions, queue, slot);
        if (!queue.ids.empty()) queue.ids[slot] = payload.ids[i];
        if (!queue.labels.empty()) queue.labels[slot] = payload.labels[i];
      }
    });
    *queue.cursor = (cursor + rows % capacity) % capacity;
    *queue.size = std::min(capacity, *queue.size + rows);
  }

  template <element T>
  static void gather(cpu_context& ctx, const support_queue<T>& queue,
                     const vector_view<const index_t>& indices, const gather_outputs<T>& outputs) {
    const T nan = store<T>(std::numeric_limits<compute_t<T>>::quiet_NaN());
    const index_t cols = queue.storage.cols();
    cpu::for_each_row_block(ctx, indices.size(), cols, [&](index_t begin, index_t count, int) {
      for (index_t i = begin; i < begin + count; ++i) {
        const index_t slot = indices[i];
        if (outputs.values.data != nullptr) {
          if (slot < 0) {
            std::fill_n(outputs.values.row(i), cols, nan);
          } else {
            std::copy_n(queue.storage.row(slot), cols, outputs.values.row(i));
          }
        }
        if (!outputs.ids.empty()) outputs.ids[i] = slot < 0 ? -1 : queue.ids[slot];
        if (!outputs.labels.empty()) outputs.labels[i] = slot < 0 ? -1 : queue.labels[slot];
      }
    });
  }
};

/// Recomputes the shadow of all filled rows. Needed if rows came into the queue without this
/// shadow, for example from a checkpoint that has none. The result is bit-identical to what enqueue
/// would have written.
///
/// Errors: a queue without a shadow, or a shadow of the wrong size.
template <element T>
void rebuild_shadow(cpu_context& ctx, const support_queue<T>& queue) {
  constexpr std::string_view op = "rebuild_shadow";
  check::valid(op, queue);
  if (queue.shadow.empty()) check::fail(op, "queue.shadow", "none", "one to rebuild");
  check::call_memory memory(op);
  check::add_queue(memory, queue, true).require_apart();
  const instruction_set instructions = cpu::usable(ctx.instructions);
  cpu::for_each_row_block(ctx, *queue.size, queue.storage.cols(),
                          [&](index_t begin, index_t count, int) {
                            for (index_t slot = begin; slot < begin + count; ++slot)
                              cpu::shadow_slot(instructions, queue, slot);
                          });
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
