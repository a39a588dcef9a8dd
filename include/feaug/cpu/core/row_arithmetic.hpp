// Arithmetic on rows in double: scaling, weighted sums, dot products, and rounding to the element
// type. Eight elements at a time.
#pragma once

#include "feaug/header_begin.hpp"

#include <concepts>

#include "feaug/core/element.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/eight_doubles.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

namespace detail {

inline constexpr index_t double_lanes = 8;

// The portable versions also compute the last elements of a row. They are not inlined into a version
// for an instruction set, where the compiler could contract a product and a sum to an fma: whether
// it does depends on the user's flags, and results must not.

/// Adds the terms of `count` elements to the lanes of a dot product, and sums the lanes.
template <element A, element B>
[[gnu::noinline]] double finish_dot(double (&lanes)[double_lanes], const A* a, double of_a,
                                    const B* b, double of_b, index_t count) {
  const auto term = [=](index_t j) {
    return (static_cast<double>(load(a[j])) * of_a) * (static_cast<double>(load(b[j])) * of_b);
  };
  const index_t full = count / double_lanes * double_lanes;
  for (index_t j = 0; j < full; j += double_lanes)
    for (index_t lane = 0; lane < double_lanes; ++lane) lanes[lane] += term(j + lane);
  for (index_t j = full; j < count; ++j) lanes[j - full] += term(j);
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

template <element A, element B>
double scaled_dot_portable(const A* a, double of_a, const B* b, double of_b, index_t count) {
  double lanes[double_lanes] = {};
  return finish_dot(lanes, a, of_a, b, of_b, count);
}

template <element T>
[[gnu::noinline]] void scale_row_portable(const T* from, index_t count, double factor,
                                          compute_t<T>* to) {
  for (index_t j = 0; j < count; ++j)
    to[j] = static_cast<compute_t<T>>(static_cast<double>(load(from[j])) * factor);
}

template <element T>
[[gnu::noinline]] void add_scaled_row_portable(const T* from, double factor, double weight,
                                               index_t count, compute_t<T>* to) {
  for (index_t j = 0; j < count; ++j) {
    to[j] += static_cast<compute_t<T>>(weight * (static_cast<double>(load(from[j])) * factor));
  }
}

template <element T>
[[gnu::noinline]] void through_unit_row_portable(const T* row, index_t count, double inverse,
                                                 double along, compute_t<T>* gradient) {
  for (index_t j = 0; j < count; ++j) {
    const double unit = static_cast<double>(load(row[j])) * inverse;
    gradient[j] = static_cast<compute_t<T>>(
        through_unit(static_cast<double>(gradient[j]), unit, along, inverse));
  }
}

template <bool accumulate, element T>
[[gnu::noinline]] void store_row_portable(const compute_t<T>* from, index_t count, T* to) {
  for (index_t j = 0; j < count; ++j) {
    if constexpr (accumulate) {
      to[j] = store<T>(load(to[j]) + from[j]);
    } else {
      to[j] = store<T>(from[j]);
    }
  }
}

#if FEAUG_X86

// NOLINTBEGIN(bugprone-macro-parentheses): the arguments are attributes and type names
#define FEAUG_ROW_ARITHMETIC(MARK, ISA)                                                         \
  template <element A, element B>                                                               \
  MARK inline double scaled_dot_##ISA(const A* a, double of_a, const B* b, double of_b,         \
                                      index_t count) {                                          \
    using v = ISA##_eight_doubles;                                                              \
    const v::vector factor_a = v::all(of_a);                                                    \
    const v::vector factor_b = v::all(of_b);                                                    \
    v::vector sums = v::all(0);                                                                 \
    index_t j = 0;                                                                              \
    for (; j + double_lanes <= count; j += double_lanes)                                        \
      sums = v::fused(v::multiply(v::load(a + j), factor_a),                                    \
                      v::multiply(v::load(b + j), factor_b), sums);                             \
    double lanes[double_lanes];                                                                 \
    v::store(lanes, sums);                                                                      \
    return finish_dot(lanes, a + j, of_a, b + j, of_b, count - j);                              \
  }                                                                                             \
  template <element T>                                                                          \
  MARK inline void scale_row_##ISA(const T* from, index_t count, double factor,                 \
                                   compute_t<T>* to) {                                          \
    using v = ISA##_eight_doubles;                                                              \
    const v::vector factors = v::all(factor);                                                   \
    index_t j = 0;                                                                              \
    for (; j + double_lanes <= count; j += double_lanes)                                        \
      v::store(to + j, v::multiply(v::load(from + j), factors));                                \
    if (j < count) scale_row_portable(from + j, count - j, factor, to + j);                     \
  }                                                                                             \
  template <element T>                                                                          \
  MARK inline void add_scaled_row_##ISA(const T* from, double factor, double weight,            \
                                        index_t count, compute_t<T>* to) {                      \
    using v = ISA##_eight_doubles;                                                              \
    const v::vector factors = v::all(factor);                                                   \
    const v::vector weights = v::all(weight);                                                   \
    index_t j = 0;                                                                              \
    for (; j + double_lanes <= count; j += double_lanes)                                        \
      v::store(to + j,                                                                          \
               v::fused(weights, v::multiply(v::load(from + j), factors), v::load(to + j)));    \
    if (j < count) add_scaled_row_portable(from + j, factor, weight, count - j, to + j);        \
  }                                                                                             \
  template <element T>                                                                          \
  MARK inline void through_unit_row_##ISA(const T* row, index_t count, double inverse,          \
                                          double along, compute_t<T>* gradient) {               \
    using v = ISA##_eight_doubles;                                                              \
    const v::vector inverses = v::all(inverse);                                                 \
    const v::vector minus_along = v::all(-along);                                               \
    index_t j = 0;                                                                              \
    for (; j + double_lanes <= count; j += double_lanes) {                                      \
      const v::vector unit = v::multiply(v::load(row + j), inverses);                           \
      v::store(gradient + j,                                                                    \
               v::multiply(v::fused(unit, minus_along, v::load(gradient + j)), inverses));      \
    }                                                                                           \
    if (j < count) through_unit_row_portable(row + j, count - j, inverse, along, gradient + j); \
  }
FEAUG_ROW_ARITHMETIC(FEAUG_AVX2, avx2)
FEAUG_ROW_ARITHMETIC(FEAUG_AVX512, avx512)
#undef FEAUG_ROW_ARITHMETIC
// NOLINTEND(bugprone-macro-parentheses)

// Limited by memory bandwidth: AVX-512 brings no gain.
template <bool accumulate, element T>
FEAUG_AVX2 inline void store_row_avx2(const float* from, index_t count, T* to) {
  index_t j = 0;
  for (; j + 8 <= count; j += 8) {
    __m256 x = _mm256_loadu_ps(from + j);
    if constexpr (accumulate) x = eight_floats(to + j) + x;
    store_eight(to + j, x);
  }
  if (j < count) store_row_portable<accumulate>(from + j, count - j, to + j);
}

#endif

}  // namespace detail

// NOLINTBEGIN(bugprone-macro-parentheses): the arguments are a name and a list of arguments
#if FEAUG_X86
#define FEAUG_FOR_INSTRUCTIONS(FUNCTION, ...)                                                 \
  if (instructions >= instruction_set::avx512) return detail::FUNCTION##_avx512(__VA_ARGS__); \
  if (instructions == instruction_set::avx2) return detail::FUNCTION##_avx2(__VA_ARGS__);     \
  return detail::FUNCTION##_portable(__VA_ARGS__)
#else
#define FEAUG_FOR_INSTRUCTIONS(FUNCTION, ...) return detail::FUNCTION##_portable(__VA_ARGS__)
#endif
// NOLINTEND(bugprone-macro-parentheses)

/// Σ_j (of_a · a_j) · (of_b · b_j) for j < count, summed in eight lanes. Limited by 2 conversions
/// and 3 multiplications an element.
template <element A, element B>
double scaled_dot([[maybe_unused]] instruction_set instructions, const A* a, double of_a,
                  const B* b, double of_b, index_t count) {
  FEAUG_FOR_INSTRUCTIONS(scaled_dot, a, of_a, b, of_b, count);
}

/// to = factor · from, rounded once; `to` may be `from`. Limited by 2 conversions an element.
template <element T>
void scale_row([[maybe_unused]] instruction_set instructions, const T* from, index_t count,
               double factor, compute_t<T>* to) {
  FEAUG_FOR_INSTRUCTIONS(scale_row, from, count, factor, to);
}

/// to += weight · (factor · from). Limited by 3 conversions an element.
template <element T>
void add_scaled_row([[maybe_unused]] instruction_set instructions, const T* from, double factor,
                    double weight, index_t count, compute_t<T>* to) {
  FEAUG_FOR_INSTRUCTIONS(add_scaled_row, from, factor, weight, count, to);
}

/// gradient_j = through_unit(gradient_j, inverse · row_j, along, inverse). Limited by 3 conversions
/// an element.
template <element T>
void through_unit_row([[maybe_unused]] instruction_set instructions, const T* row, index_t count,
                      double inverse, double along, compute_t<T>* gradient) {
  FEAUG_FOR_INSTRUCTIONS(through_unit_row, row, count, inverse, along, gradient);
}

#undef FEAUG_FOR_INSTRUCTIONS

/// to_j = from_j, or to_j += from_j, rounded to T. Limited by memory bandwidth.
template <bool accumulate, element T>
void store_row([[maybe_unused]] instruction_set instructions, const compute_t<T>* from,
               index_t count, T* to) {
#if FEAUG_X86
  if constexpr (!std::same_as<T, double>) {
    if (instructions != instruction_set::portable)
      return detail::store_row_avx2<accumulate>(from, count, to);
  }
#endif
  detail::store_row_portable<accumulate>(from, count, to);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
