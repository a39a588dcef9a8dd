// Comparisons of floating-point numbers: equality, and whether a number is finite, or NaN.
//
// Use these functions and == where NaN matters, not the outcome of < or <= with NaN: if a program
// is compiled with -ffinite-math-only, g++ compares scalars by instructions for which NaN < x is
// true, in spite of the pragma in header_begin.hpp. Equality is right.
#pragma once

#include "feaug/header_begin.hpp"

#include <concepts>
#include <type_traits>

#include "feaug/core/macros.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::detail {

// The only place where == is applied to floating-point numbers: users may compile with -Wfloat-equal.
#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wfloat-equal"
#endif

template <std::floating_point C>
FEAUG_HD constexpr bool is_equal(C a, std::type_identity_t<C> b) {
  return a == b;
}

/// Not NaN and not ∞.
template <std::floating_point C>
FEAUG_HD constexpr bool is_finite(C x) {
  return x - x == 0;
}

template <std::floating_point C>
FEAUG_HD constexpr bool is_nan(C x) {
  return x != x;
}

#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::detail

#include "feaug/header_end.hpp"
