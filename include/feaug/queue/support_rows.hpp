// The rows in which an operator searches for neighbours: a support queue or any matrix.
#pragma once

#include "feaug/header_begin.hpp"

#include <cstdint>
#include <string_view>

#include "feaug/core/call_memory.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/finite.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/row_selection.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/queue/support_queue.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// The filled rows of a support queue, or all rows of a matrix (M × D, rows of any norm). Converts
/// implicitly from either, so that operators accept both.
template <element T, memory_space Space = memory_space::host>
class support_rows {
 public:
  support_rows() = default;
  // NOLINTBEGIN(google-explicit-constructor)
  support_rows(const support_queue<T, Space>& queue)
      : queue_(queue), rows_(queue.storage), in_queue_(true) {}
  support_rows(const matrix_view<const T, Space>& matrix) : rows_(matrix) {}
  support_rows(const matrix_view<T, Space>& matrix) : rows_(matrix) {}
  // NOLINTEND(google-explicit-constructor)

  [[nodiscard]] bool in_queue() const { return in_queue_; }
  [[nodiscard]] const support_queue<T, Space>& queue() const { return queue_; }
  /// All rows, including the unfilled ones of a queue.
  [[nodiscard]] const matrix_view<const T, Space>& rows() const { return rows_; }
  /// The name of the argument in messages, and the name of its rows.
  [[nodiscard]] std::string_view name() const { return in_queue_ ? "queue" : "support"; }
  [[nodiscard]] std::string_view rows_name() const {
    return in_queue_ ? "queue.storage" : "support";
  }
  /// Ids, one a row; empty for a matrix.
  [[nodiscard]] vector_view<const std::int64_t, Space> ids() const { return queue_.ids; }
  /// The number of rows, from the first on, that a search considers.
  [[nodiscard]] index_t filled() const requires(Space == memory_space::host) {
    return in_queue_ ? *queue_.size : rows_.rows();
  }

 private:
  support_queue<T, Space> queue_ = {};
  matrix_view<const T, Space> rows_ = {};
  bool in_queue_ = false;
};

namespace check {

/// Adds a support to the arguments that a call reads.
template <element T, memory_space S>
call_memory& add_support(call_memory& memory, const support_rows<T, S>& support) {
  if (support.in_queue()) return add_queue(memory, support.queue(), false);
  return memory.reads("support", support.rows());
}

/// Checks the support, and that it has `cols` columns as the argument named `as`.
template <element T, memory_space S>
void valid(std::string_view op, const support_rows<T, S>& support, index_t cols,
           std::string_view as) {
  if (support.in_queue()) {
    valid(op, support.queue());
  } else {
    readable(op, "support", support.rows());
    not_empty(op, "support", support.rows());
  }
  has_columns(op, support.rows_name(), support.rows(), cols, as);
}

/// Checks the ids to exclude: one per query, and the support must have ids.
template <element T, memory_space S>
void exclusion(std::string_view op, const support_rows<T, S>& support,
               const vector_view<const std::int64_t, S>& exclude_ids, index_t queries,
               std::string_view as) {
  readable(op, "exclude_ids", exclude_ids);
  if (exclude_ids.empty()) return;
  has_size(op, "exclude_ids", exclude_ids, queries, as);
  if (support.ids().empty()) {
    fail(op, "exclude_ids", text(exclude_ids.size()) + " ids", "none, since the rows carry no ids");
  }
}

/// Fails if all filled rows are excluded for some selected, finite query, which would find nothing.
template <element T>
void leaves_some(std::string_view op, const support_rows<T>& support,
                 const vector_view<const std::int64_t>& exclude_ids,
                 const matrix_view<const T>& queries, const row_selection& selection,
                 std::string_view wanted) {
  if (exclude_ids.empty() || support.filled() == 0) return;
  const vector_view<const std::int64_t> ids = support.ids();
  const std::int64_t id = ids[0];
  for (index_t slot = 1; slot < support.filled(); ++slot) {
    if (ids[slot] != id) return;
  }
  for (index_t i = 0; i < queries.rows(); ++i) {
    if (exclude_ids[i] == id && selection.contains(i) &&
        feaug::detail::is_finite(row_norm(queries.row(i), queries.cols()))) {
      fail(op, "exclude_ids", "every filled row excluded for row " + text(i), wanted);
    }
  }
}

/// Checks slots found by an earlier search: filled slots, or −1. Slots in device memory are not
/// read.
template <element T, memory_space S>
void found_slots(std::string_view op, const support_rows<T, S>& support,
                 const matrix_view<const index_t, S>& slots, const row_selection& selection) {
  if constexpr (S == memory_space::host) {
    for (index_t i = 0; i < slots.rows(); ++i) {
      if (!selection.contains(i)) continue;
      for (index_t rank = 0; rank < slots.cols(); ++rank) {
        const index_t slot = slots(i, rank);
        if (slot >= -1 && slot < support.filled()) continue;
        fail(op, "indices", text(slot) + " for row " + text(i),
             "−1 or a filled slot, below " + text(support.filled()));
      }
    }
  }
}

}  // namespace check
}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
