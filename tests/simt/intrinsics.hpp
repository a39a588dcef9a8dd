// Device functions that kernels call. Those that synchronise with other threads take the place of
// the call, for error reports.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>

#include "launch.hpp"

#define SIMT_PLACE const char *file_ = __builtin_FILE(), int line_ = __builtin_LINE()

namespace simt {

template <class T>
std::uint64_t to_bits(T value) {
  static_assert(sizeof(T) <= sizeof(std::uint64_t) && std::is_trivially_copyable_v<T>);
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  return bits;
}

template <class T>
T from_bits(std::uint64_t bits) {
  T value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

/// The value that lane `source` published. __shfl_up_sync and __shfl_down_sync pass the own lane if
/// the source is outside the warp.
template <class T>
T shuffle(unsigned mask, T value, int source, const char* file, int line) {
  const place at = {file, line};
  const std::uint64_t* published = warp_meeting(warp_operation::shuffle, mask, to_bits(value), at);
  if ((mask >> source & 1U) == 0) {
    throw error("a shuffle reads lane " + std::to_string(source) +
                ", which is not in its mask, at " + file + ":" + std::to_string(line));
  }
  return from_bits<T>(published[source]);
}

}  // namespace simt

inline void __syncthreads(SIMT_PLACE) { simt::block_barrier(0, {file_, line_}); }
inline int __syncthreads_or(int predicate, SIMT_PLACE) {
  return simt::block_barrier(predicate, {file_, line_}) != 0 ? 1 : 0;
}
inline void __syncwarp(unsigned mask = ~0U, SIMT_PLACE) {
  simt::warp_meeting(simt::warp_operation::synchronise, mask, 0, {file_, line_});
}

template <class T>
T __shfl_sync(unsigned mask, T value, int source, SIMT_PLACE) {
  return simt::shuffle(mask, value, source & 31, file_, line_);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, SIMT_PLACE) {
  return simt::shuffle(mask, value, simt::current_lane() ^ bits, file_, line_);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned distance, SIMT_PLACE) {
  const int lane = simt::current_lane();
  const int source = lane - static_cast<int>(distance);
  return simt::shuffle(mask, value, source >= 0 ? source : lane, file_, line_);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned distance, SIMT_PLACE) {
  const int lane = simt::current_lane();
  const int source = lane + static_cast<int>(distance);
  return simt::shuffle(mask, value, source < 32 ? source : lane, file_, line_);
}

inline unsigned __ballot_sync(unsigned mask, int predicate, SIMT_PLACE) {
  const std::uint64_t* published =
      simt::warp_meeting(simt::warp_operation::vote, mask, predicate != 0 ? 1 : 0, {file_, line_});
  unsigned votes = 0;
  for (unsigned lane = 0; lane < 32; ++lane) {
    if ((mask >> lane & 1U) != 0 && published[lane] != 0) votes |= 1U << lane;
  }
  return votes;
}
inline int __any_sync(unsigned mask, int predicate, SIMT_PLACE) {
  return __ballot_sync(mask, predicate, file_, line_) != 0 ? 1 : 0;
}
inline int __all_sync(unsigned mask, int predicate, SIMT_PLACE) {
  return __ballot_sync(mask, predicate, file_, line_) == mask ? 1 : 0;
}

inline int __popc(unsigned bits) { return std::popcount(bits); }
inline int __ffs(int bits) {
  return bits == 0 ? 0 : std::countr_zero(static_cast<unsigned>(bits)) + 1;
}
inline int __clz(int bits) { return std::countl_zero(static_cast<unsigned>(bits)); }

inline unsigned atomicAdd(unsigned* address, unsigned value) {
  return __atomic_fetch_add(address, value, __ATOMIC_RELAXED);
}
