// Comparisons of floating-point numbers: equality, and whether a number is finite, or NaN.
//
// Where NaN matters, call these functions. Do not rely on the result of < or <= with NaN: if a program
// is compiled with -ffinite-math-only, g++ uses instructions for which NaN < x is true, in spite of
// the pragma in header_begin.hpp.
#pragma once

#include "feaug/header_begin.hpp"

#include <concepts>
#include <type_traits>

#include "feaug/core/macros.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::detail {

// The headers of the CPU apply == to floating-point numbers only here, because users may compile with
// -Wfloat-equal.
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
