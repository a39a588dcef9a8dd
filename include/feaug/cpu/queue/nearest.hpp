// CPU implementation of nearest: exact nearest neighbours by cosine similarity.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

#include "feaug/core/element.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/l2_norm.hpp"
#include "feaug/cpu/core/workspace.hpp"
#include "feaug/cpu/queue/exact_scan.hpp"
#include "feaug/cpu/queue/pruned_scan.hpp"
#include "feaug/queue/nearest.hpp"
#include "feaug/queue/queue_shadow.hpp"
#include "feaug/queue/ranking.hpp"
#include "feaug/queue/support_queue.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cpu {

/// Writes the rows found for one query to the outputs that are given.
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
void search(cpu_context& ctx, const search_space<T>& space, const matrix_view<const T>& queries,
            const nearest_outputs<T>& outputs, const nearest_options& options) {
  const auto found = [&](index_t query, std::span<const candidate> best, double norm) {
    write_neighbours(space.rows, query, options.k, best, norm, outputs);
  };
  if (is_worth_pruning(ctx, space, queries.rows(), options.k)) {
    pruned_scan(ctx, space, queries, options.k, options.exclude_ids, found);
  } else {
    exact_scan(ctx, space, queries, options.k, options.exclude_ids, found);
  }
}

/// Searches rows of any norm.
template <element T>
void search_raw(cpu_context& ctx, const matrix_view<const T>& rows,
                const vector_view<const std::int64_t>& ids, const matrix_view<const T>& queries,
                const nearest_outputs<T>& outputs, const nearest_options& options,
                const queue_shadow& shadow = {}) {
  workspace::scope scratch(ctx.workspace);
  search_space<T> space = {
      .rows = rows, .ids = ids, .similarity = options.similarity, .shadow = shadow};
  const bool is_quantized =
      shadow.empty() && is_worth_pruning(ctx, space, queries.rows(), options.k);
  if (rows.rows() <= most_kept_norms && !is_quantized) {  // otherwise norms are computed with codes
    auto* inverse = scratch.take<double>(rows.rows());
    inverse_norms(ctx, rows, default_norm_eps, inverse);
    space.inverse_norms = inverse;
  }
  search(ctx, space, queries, outputs, options);
}

}  // namespace cpu

/// Most rows are pruned without being scored: 8-bit products give an upper bound of the score that
/// includes all rounding. This is used if the machine has instructions for 8-bit products, k ≤ 32,
/// and either the queue has a shadow or there are enough queries to quantize the rows for.
///
/// Scratch: at most 7 MiB, and 352 KiB a thread (96 KiB + 16·k bytes for k > 16384); for rows that
/// are not unit rows also 8 bytes a row.
template <>
struct detail::nearest_on<cpu_context> {
  /// `rows` are the filled rows of the queue.
  template <element T>
  static void in_queue(cpu_context& ctx, const support_queue<T>& queue,
                       const matrix_view<const T>& rows, const matrix_view<const T>& queries,
                       const nearest_outputs<T>& outputs, const nearest_options& options) {
    if (queue.normalize) {
      cpu::search<T>(ctx,
                     {.rows = rows,
                      .unit = true,
                      .ids = queue.ids,
                      .similarity = options.similarity,
                      .shadow = queue.shadow},
                     queries, outputs, options);
    } else {
      cpu::search_raw<T>(ctx, rows, queue.ids, queries, outputs, options, queue.shadow);
    }
  }

  template <element T>
  static void in_rows(cpu_context& ctx, const matrix_view<const T>& rows,
                      const matrix_view<const T>& queries, const nearest_outputs<T>& outputs,
                      const nearest_options& options) {
    cpu::search_raw<T>(ctx, rows, {}, queries, outputs, options);
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
