// Non-temporal stores for large outputs: lines that will not stay in the caches need not be read
// from memory before they are overwritten.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "feaug/core/element.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// Outputs of at least this size are written with non-temporal stores. Together with an input of
/// the same size they exceed the caches of most machines. Outputs under 16 MiB stay in the cache.
inline constexpr std::size_t streamed_bytes = std::size_t{1} << 24;

inline constexpr index_t cache_line = 64;

/// Whether `out` is written with non-temporal stores: not if it is also the input, whose lines are
/// already in the caches.
template <class T, class U>
bool worth_non_temporal(const matrix_view<T>& out, const matrix_view<U>& in) {
  return FEAUG_X86 != 0 &&
         static_cast<const void*>(out.data) != static_cast<const void*>(in.data) &&
         static_cast<std::size_t>(out.rows() * out.cols()) * sizeof(T) >= streamed_bytes;
}

/// The number of elements before the first one that starts a cache line.
template <class T>
index_t until_cache_line(const T* x) {
  const auto past = static_cast<index_t>(reinterpret_cast<std::uintptr_t>(x) % cache_line);
  return (cache_line - past) % cache_line / static_cast<index_t>(sizeof(T));
}

/// Orders this thread's non-temporal stores before its later stores.
inline void end_non_temporal() {
#if FEAUG_X86
  _mm_sfence();
#endif
}

namespace detail {

/// Copies from[0 … count − 1] to `to` with non-temporal stores. `to` is aligned to a cache line and
/// count is a whole number of lines.
template <element T>
void stream(T* to, const T* from, index_t count) {
#if FEAUG_X86
  constexpr index_t register_size = 16 / static_cast<index_t>(sizeof(T));
  for (index_t k = 0; k < count; k += register_size) {
    _mm_stream_si128(reinterpret_cast<__m128i*>(to + k),
                     _mm_load_si128(reinterpret_cast<const __m128i*>(from + k)));
  }
#else
  std::copy_n(from, count, to);
#endif
}

}  // namespace detail

/// to[j] = store(value(j)) for j < count, with non-temporal stores if `non_temporal`. value(j) may
/// read the old to[j].
///
/// Elements are computed in runs into a local array. It aliases nothing and has a fixed length, so
/// compilers vectorise any `value`.
template <element T, class Value>
void write_elements(T* to, index_t count, bool non_temporal, const Value& value) {
  constexpr index_t line = cache_line / static_cast<index_t>(sizeof(T));
  constexpr index_t run = 16 * line;
  alignas(cache_line) T made[std::size_t{run}];
  index_t j = non_temporal ? std::min(until_cache_line(to), count) : 0;
  for (index_t k = 0; k < j; ++k) to[k] = store<T>(value(k));
  for (; j + run <= count; j += run) {
    for (index_t k = 0; k < run; ++k) made[k] = store<T>(value(j + k));
    if (non_temporal) {
      detail::stream(to + j, made, run);
    } else {
      std::copy_n(made, run, to + j);
    }
  }
  const index_t rest = count - j;
  for (index_t k = 0; k < rest; ++k) made[k] = store<T>(value(j + k));
  std::copy_n(made, rest, to + j);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
