// Comparisons of an operator's results.
#pragma once

#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include "feaug/core/element.hpp"
#include "fuzz/target.hpp"
#include "support/operators/results.hpp"

namespace fuzz {

using conformance::result;

inline std::string name_of(const result& one) {
  return one.name + (one.route.empty() ? "" : " of " + one.route);
}

/// ‖got − want‖ / max(‖want‖, floor · √size) over the elements that are finite in both. Infinite if
/// an element is finite in one of them only.
inline double relative_error(const std::vector<double>& got, const std::vector<double>& want,
                             double floor) {
  double difference = 0;
  double size = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    if (std::isfinite(got[i]) != std::isfinite(want[i])) return HUGE_VAL;
    if (!std::isfinite(want[i])) continue;
    difference = std::hypot(difference, got[i] - want[i]);
    size = std::hypot(size, want[i]);
  }
  return difference / std::max(size, floor * std::sqrt(static_cast<double>(want.size()) + 1e-300));
}

template <class T>
std::string type_name() {
  if constexpr (std::is_same_v<T, double>) return "double";
  if constexpr (std::is_same_v<T, float>) return "float";
  if constexpr (std::is_same_v<T, feaug::half>) return "half";
  return "bfloat16";
}

/// Relative error of an operator on T with equal inputs: sums in float or double, one rounding at
/// the end. Random calls include badly conditioned ones, so this is wider than in the tests.
template <class T>
double tolerance() {
  if constexpr (std::is_same_v<T, double>) return 1e-8;
  if constexpr (std::is_same_v<T, float>) return 5e-4;
  if constexpr (std::is_same_v<T, feaug::half>) return 5e-3;
  return 3e-2;
}

inline void require_same_bits(const std::vector<result>& got, const std::vector<result>& want,
                              const std::string& where) {
  require(got.size() == want.size(), where + ": other results");
  for (std::size_t i = 0; i < got.size(); ++i) {
    require(conformance::bits_of({got[i]}) == conformance::bits_of({want[i]}),
            where + ": other bits in " + name_of(got[i]));
  }
}

}  // namespace fuzz
