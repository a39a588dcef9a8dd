// Exact nearest neighbours by cosine, in a support queue or in any matrix.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>
#include <type_traits>
#include <vector>

#include "feaug/core/context.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/parallel.hpp"
#include "feaug/cpu/score_rows.hpp"
#include "feaug/cpu/unit_rows.hpp"
#include "feaug/queue/ranking.hpp"
#include "feaug/queue/support_queue.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Where nearest writes; leave out what is not wanted.
template <element T>
struct nearest_outputs {
  matrix_view<index_t> indices = {};  ///< N × k slots, nearest first; −1 where there is none
  matrix_view<T> similarities = {};   ///< N × k cosines; NaN where there is none
  matrix_view<T> values = {};         ///< N·k × D rows as they are stored, those of query 0 first; NaN where there is none
};

struct nearest_options {
  /// How many neighbours a query gets, 1 … the filled slots.
  index_t k = 1;
  /// N sample ids: rows of a queue whose id is the query's own are passed over. What then is missing to k is −1.
  vector_view<const std::int64_t> exclude_ids = {};
};

namespace detail {

/// Rows to search, and what a score is multiplied by: null where all rows are unit rows already.
template <element T>
struct search_space {
  matrix_view<const T> rows;
  const double* inverse = nullptr;
  vector_view<const std::int64_t> ids = {};
};

template <element T>
void write_neighbours(const search_space<T>& space, index_t query, index_t k, const top_k& best, double query_norm,
                      const nearest_outputs<T>& outputs) {
  using C = compute_t<T>;
  const T nan = store<T>(std::numeric_limits<C>::quiet_NaN());
  for (index_t rank = 0; rank < k; ++rank) {
    const bool found = rank < best.count();
    const index_t slot = found ? best[rank].slot : -1;
    if (outputs.indices.data != nullptr) outputs.indices(query, rank) = slot;
    if (outputs.similarities.data != nullptr) {
      outputs.similarities(query, rank) =
          found ? store<T>(static_cast<C>(best[rank].score / std::max(query_norm, default_norm_eps))) : nan;
    }
    if (outputs.values.data != nullptr) {
      T* destination = outputs.values.row(query * k + rank);
      if (found) {
        std::copy_n(space.rows.row(slot), space.rows.cols(), destination);
      } else {
        std::fill_n(destination, space.rows.cols(), nan);
      }
    }
  }
}

template <element T>
void search(cpu_context& ctx, const search_space<T>& space, matrix_view<const T> queries,
            const nearest_outputs<T>& outputs, const nearest_options& options) {
  const index_t cols = queries.cols();
  const index_t blocks = (queries.rows() + cpu::query_lanes - 1) / cpu::query_lanes;
  const int workers = cpu::worker_count(ctx, blocks);
  workspace::scope scratch(ctx.workspace);
  auto* packed_queries = scratch.take<double>(workers * cols * cpu::query_lanes);
  auto* candidates = scratch.take<candidate>(workers * options.k * cpu::query_lanes);
  cpu::for_each_block(ctx, blocks, [&](index_t block, int worker) {
    const index_t begin = block * cpu::query_lanes;
    const index_t count = std::min(cpu::query_lanes, queries.rows() - begin);
    double* packed = packed_queries + worker * cols * cpu::query_lanes;
    cpu::pack_queries(queries, begin, count, packed);
    std::vector<top_k> best;
    std::vector<double> norms;
    for (index_t lane = 0; lane < count; ++lane) {
      best.emplace_back(candidates + (worker * cpu::query_lanes + lane) * options.k, options.k);
      norms.push_back(cpu::row_norm(queries.row(begin + lane), cols));
    }
    for (index_t slot = 0; slot < space.rows.rows(); ++slot) {
      const auto dots = cpu::score_row(packed, space.rows.row(slot), cols);
      for (index_t lane = 0; lane < count; ++lane) {
        const auto at = static_cast<std::size_t>(lane);
        if (!options.exclude_ids.empty() && space.ids[slot] == options.exclude_ids[begin + lane]) continue;
        // A query that is not finite has no neighbours.
        if (!std::isfinite(norms[at])) continue;
        best[at].offer({.score = space.inverse == nullptr ? dots[at] : dots[at] * space.inverse[slot], .slot = slot});
      }
    }
    for (index_t lane = 0; lane < count; ++lane) {
      const auto at = static_cast<std::size_t>(lane);
      write_neighbours(space, begin + lane, options.k, best[at], norms[at], outputs);
    }
  });
}

template <element T>
void check_nearest(std::string_view op, matrix_view<const T> support, std::string_view support_name,
                   matrix_view<const T> queries, const nearest_outputs<T>& outputs, const nearest_options& options,
                   vector_view<const std::int64_t> ids) {
  check::readable(op, "queries", queries);
  if (support.rows() == 0) check::fail(op, support_name, "no filled rows", "at least one row to find");
  check::has_columns(op, "queries", queries, support.cols(), support_name);
  check::within(op, "k", options.k, 1, support.rows());
  const index_t rows = queries.rows();
  check::readable(op, "exclude_ids", options.exclude_ids);
  if (!options.exclude_ids.empty()) {
    check::has_size(op, "exclude_ids", options.exclude_ids, rows, "one a query");
    if (ids.empty()) check::fail(op, "exclude_ids", check::text(rows) + " ids", "none, since the rows carry no ids");
  }
  if (outputs.indices.data == nullptr && outputs.similarities.data == nullptr && outputs.values.data == nullptr &&
      rows > 0) {
    check::fail(op, "outputs", "none", "indices, similarities or values");
  }
  const auto output = [&](std::string_view name, const auto& view, index_t wanted_rows, index_t wanted_cols) {
    if (view.data == nullptr) return;
    check::writable(op, name, view);
    check::has_shape(op, name, view, wanted_rows, wanted_cols, "the queries, k and the support ask for");
    check::apart(op, name, view, "queries", queries);
    check::apart(op, name, view, support_name, support);
  };
  output("indices", outputs.indices, rows, options.k);
  output("similarities", outputs.similarities, rows, options.k);
  output("values", outputs.values, rows * options.k, support.cols());
}

}  // namespace detail

/// The k nearest filled rows of the queue by cosine for every query (N × D), nearest first, equal ones by the lower slot.
///
/// Exact: rows are ranked by the dot product of query and row as stored, accumulated in double in index order (for a queue of raw rows
/// times 1 / ‖row‖ in double), on every backend alike. The similarity is that score divided by the query's norm. A row with NaN or ∞ is
/// found after all others; a query with NaN or ∞ finds nothing (index −1, similarity NaN). Neighbours are constants: no gradient.
/// Scratch: 128·D + 256·k bytes a thread, for raw rows 8 bytes a row.
template <element T>
void nearest(cpu_context& ctx, const support_queue<T>& queue, std::type_identity_t<matrix_view<const T>> queries,
             const std::type_identity_t<nearest_outputs<T>>& outputs, const nearest_options& options = {}) {
  check::valid("nearest", queue);
  const matrix_view<const T> filled = queue.storage.rows_from(0, *queue.size);
  detail::check_nearest<T>("nearest", filled, "queue", queries, outputs, options, queue.ids);
  workspace::scope scratch(ctx.workspace);
  detail::search_space<T> space{.rows = filled, .ids = queue.ids};
  if (!queue.normalize) {
    auto* inverse = scratch.take<double>(filled.rows());
    cpu::inverse_norms(ctx, filled, default_norm_eps, inverse);
    space.inverse = inverse;
  }
  detail::search<T>(ctx, space, queries, outputs, options);
}

/// The same among the rows of any matrix, M × D, of any norm. There are no ids to exclude by.
template <class S, class T = std::remove_const_t<S>>
  requires element<T>
void nearest(cpu_context& ctx, const matrix_view<S>& support, std::type_identity_t<matrix_view<const T>> queries,
             const std::type_identity_t<nearest_outputs<T>>& outputs, const nearest_options& options = {}) {
  check::readable("nearest", "support", support);
  detail::check_nearest<T>("nearest", support, "support", queries, outputs, options, {});
  workspace::scope scratch(ctx.workspace);
  auto* inverse = scratch.take<double>(support.rows());
  cpu::inverse_norms(ctx, support, default_norm_eps, inverse);
  detail::search<T>(ctx, {.rows = support, .inverse = inverse}, queries, outputs, options);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
