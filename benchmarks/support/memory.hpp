// Peak memory of a call, measured from the process's resident set.
#pragma once

#include <malloc.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>

namespace bench {
namespace detail {

/// A field of /proc/self/status in bytes; NaN if it is missing.
inline double status_bytes(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind(field + ":", 0) == 0) return std::stod(line.substr(field.size() + 1)) * 1024;
  }
  return std::nan("");
}

}  // namespace detail

/// The largest increase of the resident set during a call, in bytes; NaN if Linux does not report
/// it.
template <class Call>
double peak_growth(const Call& call) {
  malloc_trim(0);
  std::ofstream("/proc/self/clear_refs") << "5" << std::flush;  // resets the peak
  const double before = detail::status_bytes("VmRSS");
  // If the peak cannot be reset, VmHWM may be an older one.
  if (detail::status_bytes("VmHWM") > before + (1 << 20)) return std::nan("");
  call();
  return std::max(detail::status_bytes("VmHWM") - before, 0.0);
}

}  // namespace bench
