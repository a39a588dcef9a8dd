// Shares of neighbours that have the query's class, or that come from the query's own sample.
#pragma once

#include "feaug/header_begin.hpp"

#include <string_view>

#include "feaug/core/any_context.hpp"
#include "feaug/core/call_memory.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/diagnostics/diagnostic_checks.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace detail {

/// Neighbours as found by `nearest`, with a label or id for every row of the queue and every query.
template <memory_space S>
struct neighbour_numbers {
  matrix_view<const index_t, S> indices;
  vector_view<const index_t, S> of_queue;
  vector_view<const index_t, S> of_queries;

  /// For the neighbours of query i: how many exist (−1 means none), how many have the query's
  /// number, and the position of an index that is not a row of the queue (−1: all are valid).
  struct counts {
    index_t found;
    index_t equal;
    index_t bad;
  };
  [[nodiscard]] FEAUG_HD counts of_query(index_t i) const {
    counts result = {.found = 0, .equal = 0, .bad = -1};
    for (index_t k = 0; k < indices.cols(); ++k) {
      const index_t slot = indices(i, k);
      if (slot == -1) continue;
      if (slot < 0 || slot >= of_queue.size()) {
        result.bad = k;
        return result;
      }
      ++result.found;
      if (of_queue[slot] == of_queries[i]) ++result.equal;
    }
    return result;
  }
};

/// A context's implementation: run, called with checked arguments.
template <class Context>
struct neighbour_share_on {
  static_assert(is_included<Context>,
                "include feaug/cpu/diagnostics/neighbour_share.hpp or "
                "feaug/cuda/diagnostics/neighbour_share.cuh");
};

/// Writes the share of neighbours that have their query's number to `to`. `queue_name` and
/// `queries_name` are argument names for messages.
template <any_context Context>
void neighbour_share(Context& ctx, std::string_view op, std::string_view queue_name,
                     std::string_view queries_name,
                     const neighbour_numbers<Context::space>& numbers,
                     diagnostic_destination<Context> to) {
  check::readable(op, "indices", numbers.indices);
  check::not_empty(op, "indices", numbers.indices);
  check::readable(op, queue_name, numbers.of_queue);
  check::readable(op, queries_name, numbers.of_queries);
  check::has_size(op, queries_name, numbers.of_queries, numbers.indices.rows(), "one a query");
  check::diagnostic_output(op, to);
  check::call_memory(op)
      .writes("to", to)
      .reads("indices", numbers.indices)
      .reads(queue_name, numbers.of_queue)
      .reads(queries_name, numbers.of_queries)
      .require_apart();
  require_reachable(ctx, op, "indices", numbers.indices);
  require_reachable(ctx, op, queue_name, numbers.of_queue);
  require_reachable(ctx, op, queries_name, numbers.of_queries);
  require_reachable(ctx, op, "to", to);
  neighbour_share_on<Context>::run(ctx, op, numbers, to);
}

}  // namespace detail

/// Writes the share of neighbours that have their query's label to one element. It measures how
/// many positives of NNCLR and related methods have the right class (Dwibedi et al., arXiv
/// 2104.14548).
///
/// `indices` is N × k as written by `nearest`; every row of the queue and every query has a label.
/// −1 (no neighbour) is not counted; if there are no neighbours at all, the share is NaN. An index
/// outside the queue is an error; on a GPU, where it cannot be reported, the share becomes NaN. No
/// gradient.
template <any_context Context>
void neighbour_accuracy(Context& ctx, const matrix_view<const index_t, Context::space>& indices,
                        const vector_view<const index_t, Context::space>& queue_labels,
                        const vector_view<const index_t, Context::space>& labels,
                        diagnostic_destination<Context> to) {
  detail::neighbour_share(ctx, "neighbour_accuracy", "queue_labels", "labels",
                          {indices, queue_labels, labels}, to);
}

/// Returns the same value as a number.
template <host_context Context>
double neighbour_accuracy(Context& ctx, const matrix_view<const index_t>& indices,
                          const vector_view<const index_t>& queue_labels,
                          const vector_view<const index_t>& labels) {
  double value = 0;
  neighbour_accuracy(ctx, indices, queue_labels, labels, scalar(value));
  return value;
}

/// The share of neighbours that are an older feature of the query's own sample. If it is large,
/// neighbours are little more than another augmentation of the sample. Arguments as for
/// neighbour_accuracy, with ids in place of labels.
template <any_context Context>
void same_sample_share(Context& ctx, const matrix_view<const index_t, Context::space>& indices,
                       const vector_view<const index_t, Context::space>& queue_ids,
                       const vector_view<const index_t, Context::space>& ids,
                       diagnostic_destination<Context> to) {
  detail::neighbour_share(ctx, "same_sample_share", "queue_ids", "ids", {indices, queue_ids, ids},
                          to);
}

/// Returns the same value as a number.
template <host_context Context>
double same_sample_share(Context& ctx, const matrix_view<const index_t>& indices,
                         const vector_view<const index_t>& queue_ids,
                         const vector_view<const index_t>& ids) {
  double value = 0;
  same_sample_share(ctx, indices, queue_ids, ids, scalar(value));
  return value;
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
