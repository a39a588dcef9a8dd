// Exact nearest neighbours by cosine similarity, in a support queue or in any matrix.
//
// Rows are ranked by a score: the dot product of the query and the stored row, accumulated in
// double in index order; for rows that are not stored as unit rows, times 1 / max(‖row‖, 1e-12) in
// double. Equal scores are ordered by the lower slot. The similarity is the score divided by the
// query's norm, max(‖query‖, 1e-12). A row with NaN or ∞ ranks after all others and has similarity
// NaN. A query with NaN or ∞ finds nothing (index −1, similarity and values NaN). Rows whose cosine
// (that quotient, in double) is outside options.similarity are skipped.
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
#include "feaug/queue/similarity_range.hpp"
#include "feaug/queue/support_queue.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Outputs of nearest; leave out those that are not needed.
template <element T, memory_space Space = memory_space::host>
struct nearest_outputs {
  matrix_view<index_t, Space> indices = {};  ///< N × k slots, nearest first; −1: none
  matrix_view<T, Space> similarities = {};   ///< N × k cosines; NaN: none
  /// N·k × D rows as stored, those of query 0 first; NaN: none.
  matrix_view<T, Space> values = {};
};

template <memory_space Space>
struct basic_nearest_options {
  /// Neighbours for each query, 1 … the number of filled slots.
  index_t k = 1;
  /// N sample ids: rows of a queue that have the query's id are skipped. If fewer than k rows
  /// remain, the missing indices are −1.
  vector_view<const std::int64_t, Space> exclude_ids = {};
  /// Rows whose cosine is outside this range are skipped too.
  similarity_range similarity = {};
};
using nearest_options = basic_nearest_options<memory_space::host>;

namespace detail {

/// Checks the arguments of a call. `support` is the filled rows of `queue`, or a matrix if that is
/// null.
template <element T, memory_space S>
void check_nearest(const matrix_view<const T, S>& support, const support_queue<T, S>* queue,
                   const matrix_view<const T, S>& queries, const nearest_outputs<T, S>& outputs,
                   const basic_nearest_options<S>& options) {
  constexpr std::string_view op = "nearest";
  const std::string_view support_name = queue == nullptr ? "support" : "queue";
  check::readable(op, "queries", queries);
  if (support.rows() == 0)
    check::fail(op, support_name, "no filled rows", "at least one row to find");
  check::not_empty(op, support_name, support);
  check::has_columns(op, "queries", queries, support.cols(), support_name);
  check::within(op, "k", options.k, 1, support.rows());
  check::valid(op, options.similarity);
  const index_t rows = queries.rows();
  check::readable(op, "exclude_ids", options.exclude_ids);
  if (!options.exclude_ids.empty()) {
    check::has_size(op, "exclude_ids", options.exclude_ids, rows, "one a query");
    if (queue == nullptr || queue->ids.empty()) {
      check::fail(op, "exclude_ids", check::text(rows) + " ids",
                  "none, since the rows carry no ids");
    }
  }
  if (outputs.indices.data == nullptr && outputs.similarities.data == nullptr &&
      outputs.values.data == nullptr && rows > 0) {
    check::fail(op, "outputs", "none", "indices, similarities or values");
  }
  const auto output = [&](std::string_view name, const auto& view, index_t wanted_rows,
                          index_t wanted_cols) {
    check::writable(op, name, view);
    if (view.data == nullptr) return;
    check::has_shape(op, name, view, wanted_rows, wanted_cols,
                     "the queries, k and the support ask for");
  };
  output("indices", outputs.indices, rows, options.k);
  output("similarities", outputs.similarities, rows, options.k);
  output("values", outputs.values, rows * options.k, support.cols());
  check::call_memory memory(op);
  memory.writes("values", outputs.values).writes("similarities", outputs.similarities);
  memory.writes("indices", outputs.indices).reads("queries", queries);
  memory.reads("exclude_ids", options.exclude_ids);
  if (queue != nullptr) {
    support_queue<T, S> searched = *queue;
    searched.storage.extents[0] = support.rows();  // outputs may be in rows that are not filled
    check::add_queue(memory, searched, false);
  } else {
    memory.reads("support", support);
  }
  memory.require_apart();
}

/// Checks that the context's processor can access everything except the rows to search.
template <any_context Context, element T>
void require_nearest_reachable(const Context& ctx,
                               const matrix_view<const T, Context::space>& queries,
                               const nearest_outputs<T, Context::space>& outputs,
                               const basic_nearest_options<Context::space>& options) {
  constexpr std::string_view op = "nearest";
  require_reachable(ctx, op, "queries", queries);
  require_reachable(ctx, op, "indices", outputs.indices);
  require_reachable(ctx, op, "similarities", outputs.similarities);
  require_reachable(ctx, op, "values", outputs.values);
  require_reachable(ctx, op, "exclude_ids", options.exclude_ids);
}

/// A context's implementation: in_queue and in_rows, called with checked arguments.
template <class Context>
struct nearest_on {
  static_assert(is_included<Context>,
                "include feaug/cpu/queue/nearest.hpp or feaug/cuda/queue/nearest.cuh");
};

}  // namespace detail

/// Finds the k nearest filled rows of the queue by cosine for every query (N × D), nearest first,
/// equal scores by the lower slot.
///
/// The result is exact; the head of this file defines scores and similarities. Neighbours are
/// constants: there is no gradient.
///
/// On a GPU the number of filled slots is read in device memory when the search runs. If k is
/// larger, the remaining ranks find nothing (index −1, similarity and values NaN); in an empty
/// queue this holds for all ranks.
///
/// Errors: an empty queue, k outside 1 … the number of filled slots, an invalid similarity range,
/// shapes, exclude_ids for a queue without ids, no output at all, an output that overlaps an input
/// or another output.
template <any_context Context, element T>
void nearest(Context& ctx, const support_queue<T, Context::space>& queue,
             std::type_identity_t<matrix_view<const T, Context::space>> queries,
             const std::type_identity_t<nearest_outputs<T, Context::space>>& outputs,
             const basic_nearest_options<Context::space>& options = {}) {
  constexpr std::string_view op = "nearest";
  check::valid(op, queue);
  matrix_view<const T, Context::space> rows = queue.storage;
  if constexpr (Context::space == memory_space::host) rows = rows.rows_from(0, *queue.size);
  detail::check_nearest<T, Context::space>(rows, &queue, queries, outputs, options);
  detail::require_queue_reachable(ctx, op, queue);
  detail::require_nearest_reachable(ctx, queries, outputs, options);
  if (queries.rows() == 0) return;
  detail::nearest_on<Context>::template in_queue<T>(ctx, queue, rows, queries, outputs, options);
}

/// The same for the rows of any matrix, M × D, of any norm. exclude_ids is an error, since rows
/// have no ids.
template <any_context Context, class S, class T = std::remove_const_t<S>>
requires element<T>
void nearest(Context& ctx, const matrix_view<S, Context::space>& support,
             std::type_identity_t<matrix_view<const T, Context::space>> queries,
             const std::type_identity_t<nearest_outputs<T, Context::space>>& outputs,
             const basic_nearest_options<Context::space>& options = {}) {
  constexpr std::string_view op = "nearest";
  const matrix_view<const T, Context::space> rows = support;
  check::readable(op, "support", rows);
  detail::check_nearest<T, Context::space>(rows, nullptr, queries, outputs, options);
  require_reachable(ctx, op, "support", rows);
  detail::require_nearest_reachable(ctx, queries, outputs, options);
  if (queries.rows() == 0) return;
  detail::nearest_on<Context>::template in_rows<T>(ctx, rows, queries, outputs, options);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
