// The distance of two arrays of numbers.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace testing {

/// ‖got − want‖ / max(‖want‖, floor · √size). Infinite if the sizes differ, or if an element is NaN in
/// one of them only, or infinite and not equal. Elements that are NaN in both, or the same infinity,
/// are skipped. Squares do not overflow.
inline double relative_error(const std::vector<double>& got, const std::vector<double>& want,
                             double floor = 1e-4) {
  if (got.size() != want.size()) return HUGE_VAL;
  double difference = 0;
  double size = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    if (std::isnan(got[i]) && std::isnan(want[i])) continue;
    if (std::isinf(want[i]) && got[i] == want[i]) continue;
    if (!std::isfinite(got[i]) || !std::isfinite(want[i])) return HUGE_VAL;
    difference = std::hypot(difference, got[i] - want[i]);
    size = std::hypot(size, want[i]);
  }
  return difference / std::max(size, floor * std::sqrt(static_cast<double>(want.size()) + 1e-300));
}

}  // namespace testing
