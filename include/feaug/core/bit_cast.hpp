// std::bit_cast for host and device: nvcc treats the standard library's version as host-only.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/core/macros.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::detail {

template <class To, class From>
FEAUG_HD constexpr To bit_cast(const From& from) {
  return __builtin_bit_cast(To, from);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::detail

#include "feaug/header_end.hpp"
