// Exact nearest neighbours by cosine, in a support queue or in any matrix.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>
#include <type_traits>

#include "feaug/core/error.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/unit_rows.hpp"
#include "feaug/cpu/core/workspace.hpp"
#include "feaug/cpu/queue/exact_scan.hpp"
#include "feaug/cpu/queue/screened_scan.hpp"
#include "feaug/queue/nearest.hpp"
#include "feaug/queue/queue_shadow.hpp"
#include "feaug/queue/ranking.hpp"
#include "feaug/queue/support_queue.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

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

}  // namespace detail

/// The k nearest filled rows of the queue by cosine for every query (N × D), nearest first, equal
/// ones by the lower slot.
///
/// Exact: queue/nearest.hpp says what nearest means. Neighbours are constants: there is no
/// gradient.
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
