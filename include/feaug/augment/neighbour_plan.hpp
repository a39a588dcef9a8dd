// neighbour_plan: how an output row is computed from a query's nearest rows. Every policy of
// neighbour_from (nearest, mean, median, random, mutual, …) is converted to a plan, which every
// backend executes.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/core/finite.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/queue/similarity_range.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// The gradient with respect to the query. The search itself is never differentiated.
enum class neighbour_gradient {
  none,              ///< zero: a neighbour is a constant (NNCLR; Dwibedi et al., arXiv 2104.14548)
  straight_through,  ///< g, as if the neighbour were the query
};

/// The output for a row without neighbours: the queue is empty, or every filled row is skipped.
enum class neighbour_fallback {
  error,  ///< argument_error; a GPU cannot throw and writes a row of NaN
  query,  ///< unit(x)
};

namespace detail {

/// The k nearest rows in range; of these the mutual ones; of these all, or one by draw; of the
/// result the trimmed mean.
struct neighbour_plan {
  index_t k = 1;
  similarity_range similarity = {};
  index_t mutual = 0;  ///< the query must be among this many nearest of the batch; 0: not required
  bool one_by_draw = false;  ///< use one of them, all equally likely
  index_t trim = 0;          ///< values left out at each end of a coordinate, at most
  neighbour_gradient gradient = neighbour_gradient::none;
  neighbour_fallback fallback = neighbour_fallback::error;

  /// The trim for `count` values: at least one or two in the middle remain.
  [[nodiscard]] FEAUG_HD constexpr index_t trim_of(index_t count) const {
    const index_t most = (count - 1) / 2;
    return trim < most ? trim : most;
  }
};

/// The rank in 0 … count − 1 (count ≥ 1) chosen by u in [0, 1): ⌊u·count⌋. Exact, since u has 24
/// bits.
FEAUG_HD inline index_t chosen_rank(float u, index_t count) {
  if (!(u > 0)) return 0;
  const auto rank = static_cast<index_t>(static_cast<double>(u) * static_cast<double>(count));
  return rank < count ? rank : count - 1;
}

/// Removes the slots that are −1 from the k slots and, if the plan requires it, keeps only the one
/// chosen by u. Returns the number of remaining slots; the slots after them are set to −1.
FEAUG_HD inline index_t settle_neighbours(const neighbour_plan& plan, float u, index_t* slots) {
  index_t count = 0;
  for (index_t rank = 0; rank < plan.k; ++rank) {
    if (slots[rank] >= 0) slots[count++] = slots[rank];
  }
  if (plan.one_by_draw && count > 0) {
    slots[0] = slots[chosen_rank(u, count)];
    count = 1;
  }
  for (index_t rank = count; rank < plan.k; ++rank) slots[rank] = -1;
  return count;
}

/// The mean of value(0) … value(count − 1) without the `trim` smallest and the `trim` largest (of
/// equal values the first counts as the smaller); NaN if a value is NaN. Needs no memory, but
/// count² comparisons unless trim is 0.
#ifdef __CUDACC__
#pragma nv_exec_check_disable
#endif
template <class Value>
FEAUG_HD double trimmed_mean(index_t count, index_t trim, const Value& value) {
  double sum = 0;
  for (index_t r = 0; r < count; ++r) {
    const double mine = value(r);
    if (is_nan(mine)) return mine;
    if (trim > 0) {
      index_t smaller = 0;
      for (index_t other = 0; other < count; ++other) {
        const double theirs = value(other);
        if (theirs < mine || (feaug::detail::is_equal(theirs, mine) && other < r)) ++smaller;
      }
      if (smaller < trim || smaller >= count - trim) continue;
    }
    sum += mine;
  }
  return sum / static_cast<double>(count - 2 * trim);
}

}  // namespace detail
}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
