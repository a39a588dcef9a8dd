// Rows of any element type in double.
#pragma once

#include "feaug/header_begin.hpp"

#include <concepts>

#include "feaug/core/element.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/eight_doubles.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

namespace detail {

#if FEAUG_X86

/// Returns the number of converted elements: whole vectors.
template <element T>
FEAUG_AVX2 inline index_t widen_avx2(const T* from, index_t count, double* to) {
  index_t j = 0;
  for (; j + 8 <= count; j += 8)
    avx2_eight_doubles::store(to + j, avx2_eight_doubles::load(from + j));
  return j;
}

#endif

}  // namespace detail

/// to[j] = from[j] for j < count; exact.
template <element T>
requires(!std::same_as<T, double>) void widen([[maybe_unused]] instruction_set instructions,
                                              const T* from, index_t count, double* to) {
  index_t j = 0;
#if FEAUG_X86
  if (instructions != instruction_set::portable) j = detail::widen_avx2(from, count, to);
#endif
  for (; j < count; ++j) to[j] = static_cast<double>(load(from[j]));
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
