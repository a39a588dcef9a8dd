// What kind of neighbours the queue gives: of the query's own class, of the query's own sample.
#pragma once

#include <string_view>

#include "feaug/core/any_context.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/diagnostics/diagnostic_checks.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace detail {

/// Neighbours as `nearest` finds them, and a number for every row of the queue and every query.
template <memory_space S>
struct neighbour_numbers {
  matrix_view<const index_t, S> indices;
  vector_view<const index_t, S> of_queue;
  vector_view<const index_t, S> of_queries;

  /// Of query i's neighbours: how many there are (−1 stands for none), how many have its number,
  /// and the position of one that is no row of the queue, or −1.
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

/// How a context counts neighbours, for arguments that are checked: run.
template <class Context>
struct neighbour_share_on {
  static_assert(is_included<Context>,
                "include feaug/cpu/diagnostics/neighbour_share.hpp or "
                "feaug/cuda/diagnostics/neighbour_share.cuh");
};

/// The share of neighbours that have their query's number, into `to`. `queue_name` and
/// `queries_name` are the arguments' names.
template <any_context Context>
void neighbour_share(Context& ctx, std::string_view op, std::string_view queue_name,
                     std::string_view queries_name,
                     const neighbour_numbers<Context::space>& numbers,
                     const vector_view<double, Context::space>& to) {
  check::readable(op, "indices", numbers.indices);
  check::not_empty(op, "indices", numbers.indices);
  check::readable(op, queue_name, numbers.of_queue);
  check::readable(op, queries_name, numbers.of_queries);
  check::has_size(op, queries_name, numbers.of_queries, numbers.indices.rows(), "one a query");
  check::diagnostic_output(op, to);
  require_reachable(ctx, op, "indices", numbers.indices);
  require_reachable(ctx, op, queue_name, numbers.of_queue);
  require_reachable(ctx, op, queries_name, numbers.of_queries);
  require_reachable(ctx, op, "to", to);
  neighbour_share_on<Context>::run(ctx, op, numbers, to);
}

}  // namespace detail

/// The share of neighbours that have their query's label: how pure the positives are that NNCLR and
/// its kin learn from (Dwibedi et al., arXiv 2104.14548). Into one element.
///
/// `indices` N × k as `nearest` gives them, with the label of every row of the queue and of every
/// query. −1 (no neighbour) does not count; without any neighbour the share is NaN. An index beyond
/// the queue is an error. On a GPU it cannot be refused, and makes the share NaN. No gradient.
template <any_context Context>
void neighbour_accuracy(Context& ctx, const matrix_view<const index_t, Context::space>& indices,
                        const vector_view<const index_t, Context::space>& queue_labels,
                        const vector_view<const index_t, Context::space>& labels,
                        const vector_view<double, Context::space>& to) {
  detail::neighbour_share(ctx, "neighbour_accuracy", "queue_labels", "labels",
                          {indices, queue_labels, labels}, to);
}

/// The same as a number.
template <host_context Context>
double neighbour_accuracy(Context& ctx, const matrix_view<const index_t>& indices,
                          const vector_view<const index_t>& queue_labels,
                          const vector_view<const index_t>& labels) {
  double value = 0;
  neighbour_accuracy(ctx, indices, queue_labels, labels, scalar(value));
  return value;
}

/// The share of neighbours that are an older feature of the query's own sample: where it is large,
/// neighbours are but another augmentation. Arguments as neighbour_accuracy's, with ids for labels.
template <any_context Context>
void same_sample_share(Context& ctx, const matrix_view<const index_t, Context::space>& indices,
                       const vector_view<const index_t, Context::space>& queue_ids,
                       const vector_view<const index_t, Context::space>& ids,
                       const vector_view<double, Context::space>& to) {
  detail::neighbour_share(ctx, "same_sample_share", "queue_ids", "ids", {indices, queue_ids, ids},
                          to);
}

/// The same as a number.
template <host_context Context>
double same_sample_share(Context& ctx, const matrix_view<const index_t>& indices,
                         const vector_view<const index_t>& queue_ids,
                         const vector_view<const index_t>& ids) {
  double value = 0;
  same_sample_share(ctx, indices, queue_ids, ids, scalar(value));
  return value;
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
