// Addition of one row to another.
#pragma once

#include "feaug/header_begin.hpp"

#include <concepts>

#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/cpu/core/lanes.hpp"
#include "feaug/cpu/core/vectors.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

namespace detail {

#if FEAUG_X86

// NOLINTBEGIN(bugprone-macro-parentheses): the arguments are attributes and type names
#define FEAUG_ADD_ROW(MARK, ISA)                                                \
  MARK inline void add_row_##ISA(const float* from, index_t count, float* to) { \
    using v = ISA<float>;                                                       \
    index_t j = 0;                                                              \
    for (; j + v::lanes <= count; j += v::lanes)                                \
      v::store(to + j, v::add(v::load(to + j), v::load(from + j)));             \
    for (; j < count; ++j) to[j] += from[j];                                    \
  }
FEAUG_ADD_ROW(FEAUG_AVX2, avx2)
FEAUG_ADD_ROW(FEAUG_AVX512, avx512)
#undef FEAUG_ADD_ROW
// NOLINTEND(bugprone-macro-parentheses)

#endif

}  // namespace detail

/// to += from. Limited by memory bandwidth: 2 loads, 1 store and 1 addition an element.
template <class C>
void add_row([[maybe_unused]] instruction_set instructions, const C* from, index_t count, C* to) {
#if FEAUG_X86
  if constexpr (std::same_as<C, float>) {
    if (instructions >= instruction_set::avx512) return detail::add_row_avx512(from, count, to);
    if (instructions == instruction_set::avx2) return detail::add_row_avx2(from, count, to);
  }
#endif
  for_each_in_lanes(count, [from, to](index_t j) { to[j] += from[j]; });
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
