// What kind of neighbours the queue gives: of the query's own class, of the query's own sample.
#pragma once

#include <limits>
#include <string>
#include <string_view>

#include "feaug/core/error.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/diagnostics/diagnostic_checks.hpp"
#include "feaug/diagnostics/neighbour_share.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace detail {

inline void neighbour_share(std::string_view op, std::string_view queue_name,
                            std::string_view queries_name,
                            const neighbour_numbers<memory_space::host>& numbers,
                            const vector_view<double>& to) {
  numbers.validate(op, queue_name, queries_name);
  check::diagnostic_output(op, to);
  index_t found = 0;
  index_t equal = 0;
  for (index_t i = 0; i < numbers.indices.rows(); ++i) {
    const auto counts = numbers.of_query(i);
    if (counts.bad >= 0) {
      check::fail(op, "indices",
                  check::text(numbers.indices(i, counts.bad)) + " for query " + check::text(i),
                  "−1 or a row of the queue's " + check::text(numbers.of_queue.size()));
    }
    found += counts.found;
    equal += counts.equal;
  }
  to[0] = found == 0 ? std::numeric_limits<double>::quiet_NaN()
                     : static_cast<double>(equal) / static_cast<double>(found);
}

}  // namespace detail

/// The share of neighbours that have their query's label: how pure the positives are that NNCLR and
/// its kin learn from (Dwibedi et al., arXiv 2104.14548).
///
/// `indices` N × k as `nearest` gives them, with the label of every row of the queue and of every
/// query. −1 (no neighbour) does not count; without any neighbour the share is NaN. An index beyond
/// the queue is an error. No gradient, no scratch.
inline void neighbour_accuracy(cpu_context& /*ctx*/, const matrix_view<const index_t>& indices,
                               const vector_view<const index_t>& queue_labels,
                               const vector_view<const index_t>& labels,
                               const vector_view<double>& to) {
  detail::neighbour_share("neighbour_accuracy", "queue_labels", "labels",
                          {indices, queue_labels, labels}, to);
}

/// The same as a number.
inline double neighbour_accuracy(cpu_context& ctx, const matrix_view<const index_t>& indices,
                                 const vector_view<const index_t>& queue_labels,
                                 const vector_view<const index_t>& labels) {
  double value = 0;
  neighbour_accuracy(ctx, indices, queue_labels, labels, scalar(value));
  return value;
}

/// The share of neighbours that are an older feature of the query's own sample: where it is large,
/// neighbours are but another augmentation. Arguments as neighbour_accuracy's, with ids for labels.
inline void same_sample_share(cpu_context& /*ctx*/, const matrix_view<const index_t>& indices,
                              const vector_view<const index_t>& queue_ids,
                              const vector_view<const index_t>& ids,
                              const vector_view<double>& to) {
  detail::neighbour_share("same_sample_share", "queue_ids", "ids", {indices, queue_ids, ids}, to);
}

/// The same as a number.
inline double same_sample_share(cpu_context& ctx, const matrix_view<const index_t>& indices,
                                const vector_view<const index_t>& queue_ids,
                                const vector_view<const index_t>& ids) {
  double value = 0;
  same_sample_share(ctx, indices, queue_ids, ids, scalar(value));
  return value;
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
