// Which cosines make a support row a neighbour: not too low to be one, not so high that it is a
// copy.
#pragma once

#include <limits>
#include <string_view>

#include "feaug/core/error.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/core/row_norm.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Rows whose cosine to the query is below `floor` or above `ceiling` are passed over, as if they
/// were not there. A row whose cosine is NaN is above no ceiling and below any floor that is set.
struct similarity_range {
  double floor = -std::numeric_limits<double>::infinity();   ///< −∞: none
  double ceiling = std::numeric_limits<double>::infinity();  ///< ∞: none; 0.999 leaves out copies

  [[nodiscard]] FEAUG_HD constexpr bool has_floor() const { return floor > -infinity; }
  [[nodiscard]] FEAUG_HD constexpr bool has_ceiling() const { return ceiling < infinity; }

  /// Whether a row with this ranking score counts for a query of this norm.
  [[nodiscard]] FEAUG_HD constexpr bool contains(double score, double query_norm) const {
    if (!has_floor() && !has_ceiling()) return true;
    const double cosine = score / (query_norm > default_norm_eps ? query_norm : default_norm_eps);
    if (has_floor() && !(cosine >= floor)) return false;
    return !(cosine > ceiling);
  }

 private:
  static constexpr double infinity = std::numeric_limits<double>::infinity();
};

namespace check {

/// Bounds that are numbers, the lower one first.
inline void valid(std::string_view op, const similarity_range& range) {
  if (range.floor != range.floor)
    fail(op, "similarity.floor", text(range.floor), "a number, or -infinity for none");
  if (!(range.ceiling >= range.floor)) {
    fail(op, "similarity.ceiling", text(range.ceiling),
         "a number of at least similarity.floor, " + text(range.floor));
  }
}

}  // namespace check
}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
