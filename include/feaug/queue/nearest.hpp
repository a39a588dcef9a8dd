// Exact nearest neighbours by cosine, in a support queue or in any matrix.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "feaug/core/error.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/unit_rows.hpp"
#include "feaug/cpu/queue/exact_scan.hpp"
#include "feaug/cpu/queue/screened_scan.hpp"
#include "feaug/queue/ranking.hpp"
#include "feaug/queue/similarity_range.hpp"
#include "feaug/queue/support_queue.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Where nearest writes; leave out what is not wanted.
template <element T, memory_space Space = memory_space::host>
struct nearest_outputs {
  matrix_view<index_t, Space> indices = {};  ///< N × k slots, nearest first; −1 where there is none
  matrix_view<T, Space> similarities = {};  ///< N × k cosines; NaN where there is none
  /// N·k × D rows as they are stored, those of query 0 first; NaN where there is none
  matrix_view<T, Space> values = {};
};

template <memory_space Space>
struct basic_nearest_options {
  /// How many neighbours a query gets, 1 … the filled slots.
  index_t k = 1;
  /// N sample ids: rows of a queue whose id is the query's own are passed over. What then is
  /// missing to k is −1.
  vector_view<const std::int64_t, Space> exclude_ids = {};
  /// Rows with another cosine are passed over likewise.
  similarity_range similarity = {};
};
using nearest_options = basic_nearest_options<memory_space::host>;

namespace detail {

/// One query's found rows, into whichever outputs there are.
template <element T>
void write_neighbours(const matrix_view<const T>& rows, index_t query, index_t k,
                      std::span<const candidate> found, double query_norm,
                      const nearest_outputs<T>& outputs) {
  using C = compute_t<T>;
  const T nan = store<T>(std::numeric_limits<C>::quiet_NaN());
  const double scale = std::max(query_norm, default_norm_eps);
  for (index_t rank = 0; rank < k; ++rank) {
    const auto at = static_cast<std::size_t>(rank);
    const bool is_found = at < found.size();
    const index_t slot = is_found ? found[at].slot : -1;
    if (outputs.indices.data != nullptr) outputs.indices(query, rank) = slot;
    if (outputs.similarities.data != nullptr) {
      outputs.similarities(query, rank) =
          is_found ? store<T>(static_cast<C>(found[at].score / scale)) : nan;
    }
    if (outputs.values.data != nullptr) {
      T* destination = outputs.values.row(query * k + rank);
      if (is_found) {
        std::copy_n(rows.row(slot), rows.cols(), destination);
      } else {
        std::fill_n(destination, rows.cols(), nan);
      }
    }
  }
}

template <element T>
void search(cpu_context& ctx, const cpu::search_space<T>& space,
            const matrix_view<const T>& queries, const nearest_outputs<T>& outputs,
            const nearest_options& options) {
  const auto found = [&](index_t query, std::span<const candidate> best, double norm) {
    write_neighbours(space.rows, query, options.k, best, norm, outputs);
  };
  if (cpu::is_worth_screening(ctx, space, queries.rows(), options.k)) {
    cpu::screened_scan(ctx, space, queries, options.k, options.exclude_ids, found);
  } else {
    cpu::exact_scan(ctx, space, queries, options.k, options.exclude_ids, found);
  }
}

// 8 MiB of inverse norms at most are kept for a search; of more rows each query group works out its
// own.
inline constexpr index_t most_kept_norms = 1 << 20;

/// The search among rows of any norm.
template <element T>
void search_raw(cpu_context& ctx, const matrix_view<const T>& rows,
                const vector_view<const std::int64_t>& ids, const matrix_view<const T>& queries,
                const nearest_outputs<T>& outputs, const nearest_options& options,
                const queue_shadow& shadow = {}) {
  workspace::scope scratch(ctx.workspace);
  cpu::search_space<T> space = {
      .rows = rows, .ids = ids, .similarity = options.similarity, .shadow = shadow};
  if (rows.rows() <= most_kept_norms) {
    auto* inverse = scratch.take<double>(rows.rows());
    cpu::inverse_norms(ctx, rows, default_norm_eps, inverse);
    space.inverse_norms = inverse;
  }
  search(ctx, space, queries, outputs, options);
}

template <element T, memory_space S = memory_space::host>
void check_nearest(const matrix_view<const T, S>& support, std::string_view support_name,
                   const vector_view<const std::int64_t, S>& ids,
                   const matrix_view<const T, S>& queries, const nearest_outputs<T, S>& outputs,
                   const basic_nearest_options<S>& options) {
  constexpr std::string_view op = "nearest";
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
    if (ids.empty()) {
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
    check::apart(op, name, view, "queries", queries);
    check::apart(op, name, view, support_name, support);
    check::apart(op, name, view, "the ids of " + std::string(support_name), as_column(ids));
    check::apart(op, name, view, "exclude_ids", as_column(options.exclude_ids));
  };
  output("indices", outputs.indices, rows, options.k);
  output("similarities", outputs.similarities, rows, options.k);
  output("values", outputs.values, rows * options.k, support.cols());
  check::apart(op, "similarities", outputs.similarities, "indices", outputs.indices);
  check::apart(op, "values", outputs.values, "indices", outputs.indices);
  check::apart(op, "values", outputs.values, "similarities", outputs.similarities);
}

}  // namespace detail

/// The k nearest filled rows of the queue by cosine for every query (N × D), nearest first, equal
/// ones by the lower slot.
///
/// Exact: rows are ranked by the dot product of query and row as stored, accumulated in double in
/// index order (for a queue of raw rows times 1 / max(‖row‖, 1e-12) in double), on every backend
/// alike. The similarity is that score divided by the query's norm, max(‖query‖, 1e-12). A row with
/// NaN or ∞ is found after all others, with similarity NaN; a query with NaN or ∞ finds nothing
/// (index −1, similarity and values NaN). Rows whose cosine (that quotient, in double) is outside
/// options.similarity are passed over. Neighbours are constants: there is no gradient.
///
/// Errors: an empty queue, k outside 1 … the filled slots, a similarity range that is none, shapes,
/// exclude_ids for a queue without ids, no output at all, an output that overlaps an input or
/// another output.
///
/// Most rows are passed over without being scored, by products of 8 bits and a proved bound, where
/// the machine has instructions for them, k ≤ 32, and the queue has a shadow or there are enough
/// queries to make one for.
///
/// Scratch: at most 4 MiB, and 352 KiB a thread (96 KiB + 16·k bytes for k > 16384); for raw rows 8
/// bytes a row besides.
template <element T>
void nearest(cpu_context& ctx, const support_queue<T>& queue,
             std::type_identity_t<matrix_view<const T>> queries,
             const std::type_identity_t<nearest_outputs<T>>& outputs,
             const nearest_options& options = {}) {
  check::valid("nearest", queue);
  const matrix_view<const T> filled = queue.storage.rows_from(0, *queue.size);
  detail::check_nearest<T, memory_space::host>(filled, "queue", queue.ids, queries, outputs,
                                               options);
  if (queue.normalize) {
    detail::search<T>(ctx,
                      {.rows = filled,
                       .unit = true,
                       .ids = queue.ids,
                       .similarity = options.similarity,
                       .shadow = queue.shadow},
                      queries, outputs, options);
  } else {
    detail::search_raw<T>(ctx, filled, queue.ids, queries, outputs, options, queue.shadow);
  }
}

/// The same among the rows of any matrix, M × D, of any norm. There are no ids to exclude by.
template <class S, class T = std::remove_const_t<S>>
requires element<T>
void nearest(cpu_context& ctx, const matrix_view<S>& support,
             std::type_identity_t<matrix_view<const T>> queries,
             const std::type_identity_t<nearest_outputs<T>>& outputs,
             const nearest_options& options = {}) {
  check::readable("nearest", "support", support);
  detail::check_nearest<T, memory_space::host>(support, "support", {}, queries, outputs, options);
  detail::search_raw<T>(ctx, support, {}, queries, outputs, options);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
