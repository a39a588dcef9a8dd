// The error of an output: ‖got − want‖₂ / max(‖want‖₂, f·√size).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "backends.hpp"

namespace conformance {

/// ‖x‖₂, scaled so that no finite x overflows. NaN and ∞ propagate.
inline double norm(const std::vector<double>& x) {
  double largest = 0;
  for (const double value : x) {
    if (std::isnan(value)) return value;
    largest = std::max(largest, std::abs(value));
  }
  if (largest == 0 || std::isinf(largest)) return largest;
  double sum = 0;
  for (const double value : x) sum += (value / largest) * (value / largest);
  return largest * std::sqrt(sum);
}

/// The error of `got`, which must have the size of `want`. NaN if got has a NaN, so compare with
/// !(error <= tolerance).
inline double error_of(const std::vector<double>& got, const std::vector<double>& want,
                       dtype type) {
  if (want.empty()) return 0;
  std::vector<double> difference(want.size());
  for (std::size_t i = 0; i < want.size(); ++i) difference[i] = got[i] - want[i];
  const double floor = type == dtype::float64 ? 1e-4 : 1e-2;
  return norm(difference) /
         std::max(norm(want), floor * std::sqrt(static_cast<double>(want.size())));
}

/// True if got equals want rounded to the type under test. False if either has a NaN.
inline bool equal(const std::vector<double>& got, const std::vector<double>& want, dtype type) {
  for (std::size_t i = 0; i < want.size(); ++i) {
    const double rounded =
        type == dtype::float64 ? want[i] : static_cast<double>(static_cast<float>(want[i]));
    if (!(got[i] == rounded)) return false;
  }
  return true;
}

}  // namespace conformance
