// What neighbour_accuracy and same_sample_share refuse, and how a query's neighbours are counted,
// on every backend.
#pragma once

#include <string_view>

#include "feaug/core/error.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/diagnostics/diagnostic_checks.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::detail {

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

  /// `queue_name` and `queries_name` are the arguments' names.
  void validate(std::string_view op, std::string_view queue_name,
                std::string_view queries_name) const {
    check::readable(op, "indices", indices);
    check::not_empty(op, "indices", indices);
    check::readable(op, queue_name, of_queue);
    check::readable(op, queries_name, of_queries);
    check::has_size(op, queries_name, of_queries, indices.rows(), "one a query");
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::detail
