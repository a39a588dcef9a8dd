// CPU implementation of neighbour_accuracy and same_sample_share: the shares of neighbours that
// have the query's class, or come from its own sample.
#pragma once

#include "feaug/header_begin.hpp"

#include <limits>
#include <string_view>

#include "feaug/core/error.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/diagnostics/neighbour_share.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

template <>
struct detail::neighbour_share_on<cpu_context> {
  static void run(cpu_context& /*ctx*/, std::string_view op,
                  const neighbour_numbers<memory_space::host>& numbers,
                  const vector_view<double>& to) {
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
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
