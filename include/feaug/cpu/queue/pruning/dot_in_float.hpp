// Dot products in single precision with a bound of their error: they exclude most of the rows that
// 8-bit products cannot exclude.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <concepts>
#include <cstddef>

#include "feaug/core/element.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/eight_doubles.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/cpu/core/lanes.hpp"
#include "feaug/cpu/core/vectors.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// Norms of the operands for which dot_in_float_error holds: no product overflows, and numbers below
/// the normal range do not matter, even if they count as 0.
inline constexpr double least_norm_in_float = 1e-6;
inline constexpr double largest_norm_in_float = 1e6;

/// Bounds |dot_in_float − a·b| / (‖a‖‖b‖): a product is rounded once, and its sum at most count / 16
/// + 4 times, by at most 2⁻²⁴ of Σ|a_j·b_j|. The other half is for numbers below the normal range.
constexpr double dot_in_float_error(index_t count) {
  const index_t roundings = count / lane_count + 8;
  return static_cast<double>(roundings) * 0x1p-23;
}

namespace detail {

#if FEAUG_X86

// Four accumulators hide the latency of fma.
inline constexpr int dot_accumulators = 4;

/// The products of the first `count` elements, a multiple of 32. Limited by loads: two for 8
/// elements.
template <element T>
FEAUG_AVX2 inline double dot_in_float_avx2(const T* a, const T* b, index_t count) {
  using v = avx2<float>;
  v::vector sums[dot_accumulators] = {v::zero(), v::zero(), v::zero(), v::zero()};
  for (index_t j = 0; j < count; j += v::lanes * dot_accumulators) {
    FEAUG_UNROLL_REGISTERS
    for (int i = 0; i < dot_accumulators; ++i)
      sums[i] = v::fused(eight_floats(a + j + 8 * i), eight_floats(b + j + 8 * i), sums[i]);
  }
  return v::sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
}
FEAUG_AVX2 inline double dot_in_float_avx2(const double* a, const double* b, index_t count) {
  using v = avx2_eight_doubles;
  v::vector sums[dot_accumulators] = {v::all(0), v::all(0), v::all(0), v::all(0)};
  for (index_t j = 0; j < count; j += 8 * dot_accumulators) {
    FEAUG_UNROLL_REGISTERS
    for (int i = 0; i < dot_accumulators; ++i)
      sums[i] = v::fused(v::load(a + j + 8 * i), v::load(b + j + 8 * i), sums[i]);
  }
  double lanes[8];
  v::store(lanes, v::add(v::add(sums[0], sums[1]), v::add(sums[2], sums[3])));
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

#endif

}  // namespace detail

/// a·b in single precision (doubles: in double), for operands with norms in the range above.
template <element T>
double dot_in_float([[maybe_unused]] instruction_set instructions, const T* a, const T* b,
                    index_t count) {
  index_t whole = 0;
  double sum = 0;
#if FEAUG_X86
  if (instructions != instruction_set::portable) {
    whole = count / 32 * 32;
    sum = detail::dot_in_float_avx2(a, b, whole);
  }
#endif
  return sum + sum_of_terms<compute_t<T>>(count - whole, [=](index_t j) {
           return load(a[whole + j]) * load(b[whole + j]);
         });
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
