// The range of cosines in which a support row counts as a neighbour: a floor against distant rows,
// a ceiling against copies.
#pragma once

#include "feaug/header_begin.hpp"

#include <limits>
#include <string_view>

#include "feaug/core/error.hpp"
#include "feaug/core/finite.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Rows whose cosine to the query is below `floor` or above `ceiling` are skipped, as if they were
/// absent. A row whose cosine is NaN is skipped if a floor is set; a ceiling alone does not skip
/// it.
struct similarity_range {
  double floor = -std::numeric_limits<double>::infinity();   ///< −∞: no floor
  double ceiling = std::numeric_limits<double>::infinity();  ///< ∞: no ceiling; 0.999 skips copies

  [[nodiscard]] FEAUG_HD constexpr bool has_floor() const { return floor > -infinity; }
  [[nodiscard]] FEAUG_HD constexpr bool has_ceiling() const { return ceiling < infinity; }

  /// Whether a row with this ranking score is in range, for a query of this norm.
  [[nodiscard]] FEAUG_HD constexpr bool contains(double score, double query_norm) const {
    if (!has_floor() && !has_ceiling()) return true;
    const double cosine = score / (query_norm > default_norm_eps ? query_norm : default_norm_eps);
    if (detail::is_nan(cosine)) return !has_floor();
    return cosine >= floor && cosine <= ceiling;
  }

 private:
  static constexpr double infinity = std::numeric_limits<double>::infinity();
};

namespace check {

/// Checks that both bounds are numbers and floor ≤ ceiling.
inline void valid(std::string_view op, const similarity_range& range) {
  if (detail::is_nan(range.floor))
    fail(op, "similarity.floor", text(range.floor), "a number, or -infinity for none");
  if (detail::is_nan(range.ceiling) || range.ceiling < range.floor) {
    fail(op, "similarity.ceiling", text(range.ceiling),
         "a number of at least similarity.floor, " + text(range.floor));
  }
}

}  // namespace check
}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
