// How much memory a call takes at most, seen from outside: what the process has resident.
#pragma once

#include <malloc.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>

namespace bench {
namespace detail {

/// A line of /proc/self/status, in bytes; NaN without one.
inline double status_bytes(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind(field + ":", 0) == 0) return std::stod(line.substr(field.size() + 1)) * 1024;
  }
  return std::nan("");
}

}  // namespace detail

/// Bytes by which a call raises the resident set at most; NaN where Linux does not tell.
template <class Call>
double peak_growth(const Call& call) {
  malloc_trim(0);
  std::ofstream("/proc/self/clear_refs") << "5" << std::flush;  // the peak begins here
  const double before = detail::status_bytes("VmRSS");
  // Where the peak cannot be set back it may be an older one.
  if (detail::status_bytes("VmHWM") > before + (1 << 20)) return std::nan("");
  call();
  return std::max(detail::status_bytes("VmHWM") - before, 0.0);
}

}  // namespace bench
