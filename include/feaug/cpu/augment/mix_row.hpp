// Weighted sums of two rows. Limited by memory bandwidth: two reads and one write an element.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <concepts>

#include "feaug/core/element.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/cpu/core/non_temporal.hpp"
#include "feaug/cpu/core/vectors.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// of_x · x + of_y · y
template <element T>
struct mixed_rows {
  const T* x;
  const T* y;
  compute_t<T> of_x;
  compute_t<T> of_y;
  /// The row that will be y next, or null. It is prefetched, since hardware prefetchers cannot
  /// predict permuted rows.
  const T* next_y = nullptr;
};

namespace detail {

template <element T>
void mix_row_portable(const mixed_rows<T>& from, index_t cols, bool non_temporal, T* to) {
  write_elements(to, cols, non_temporal, [&](index_t j) {
    return from.of_x * load(from.x[j]) + from.of_y * load(from.y[j]);
  });
}

#if FEAUG_X86

// NOLINTBEGIN(bugprone-macro-parentheses): the arguments are attributes and type names
// One cache line at a time. Partial lines use the same rounding, so the result does not depend on
// where a row begins.
#define FEAUG_MIX_ROW(MARK, ISA)                                                                 \
  MARK inline void mix_row_##ISA(const mixed_rows<float>& from, index_t cols, bool non_temporal, \
                                 float* to) {                                                    \
    using v = ISA<float>;                                                                        \
    constexpr index_t line = cache_line / static_cast<index_t>(sizeof(float));                   \
    const float* const x = from.x;                                                               \
    const float* const y = from.y;                                                               \
    const v::vector of_x = v::all(from.of_x);                                                    \
    const v::vector of_y = v::all(from.of_y);                                                    \
    index_t j = 0;                                                                               \
    const index_t first = non_temporal ? std::min(until_cache_line(to), cols) : 0;               \
    for (; j < first; ++j) to[j] = __builtin_fmaf(from.of_x, x[j], from.of_y * y[j]);            \
    for (; j + line <= cols; j += line) {                                                        \
      if (from.next_y != nullptr) __builtin_prefetch(from.next_y + j, 0, 2);                     \
      FEAUG_UNROLL_REGISTERS                                                                     \
      for (index_t n = 0; n < line; n += v::lanes) {                                             \
        const v::vector sum =                                                                    \
            v::fused(of_x, v::load(x + j + n), v::multiply(of_y, v::load(y + j + n)));           \
        if (non_temporal) {                                                                      \
          v::stream(to + j + n, sum);                                                            \
        } else {                                                                                 \
          v::store(to + j + n, sum);                                                             \
        }                                                                                        \
      }                                                                                          \
    }                                                                                            \
    for (; j < cols; ++j) to[j] = __builtin_fmaf(from.of_x, x[j], from.of_y * y[j]);             \
  }
FEAUG_MIX_ROW(FEAUG_AVX2, avx2)
FEAUG_MIX_ROW(FEAUG_AVX512, avx512)
#undef FEAUG_MIX_ROW
// NOLINTEND(bugprone-macro-parentheses)

#endif

}  // namespace detail

/// to = the sum, `cols` elements, with non-temporal stores if `non_temporal`. `to` may be x or y.
template <element T>
void mix_row([[maybe_unused]] instruction_set instructions, const mixed_rows<T>& from, index_t cols,
             bool non_temporal, T* to) {
#if FEAUG_X86
  if constexpr (std::same_as<T, float>) {
    if (instructions >= instruction_set::avx512)
      return detail::mix_row_avx512(from, cols, non_temporal, to);
    if (instructions == instruction_set::avx2)
      return detail::mix_row_avx2(from, cols, non_temporal, to);
  }
#endif
  detail::mix_row_portable(from, cols, non_temporal, to);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
