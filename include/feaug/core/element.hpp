// Element types of tensors: float, double, and the 16-bit storage types half and bfloat16.
//
// The 16-bit types are for storage only: every operator converts them to float when it loads them,
// computes in float and rounds once when it stores. Their bits are those of Eigen's, CUDA's and
// PyTorch's types, so a caller only has to reinterpret the pointer.
#pragma once

#include "feaug/header_begin.hpp"

#include <concepts>
#include <cstdint>
#include <type_traits>

#include "feaug/core/bit_cast.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// IEEE 754 binary16. Trivial, as shared memory on a GPU requires: `half{}` is zero, `half x;` is
/// uninitialised.
struct half {
  std::uint16_t bits;
  friend constexpr bool operator==(half, half) = default;
};

/// bfloat16: the upper half of a binary32. Trivial too.
struct bfloat16 {
  std::uint16_t bits;
  friend constexpr bool operator==(bfloat16, bfloat16) = default;
};

/// The types a view of features may hold.
template <class T>
concept element = std::same_as<T, float> || std::same_as<T, double> || std::same_as<T, half> ||
    std::same_as<T, bfloat16>;

/// The same element type twice, each const or not.
template <class A, class B>
concept same_element =
    element<std::remove_const_t<A>> && std::same_as<std::remove_const_t<A>, std::remove_const_t<B>>;

/// The type that an operator computes in, and the type of its losses, statistics and scalars:
/// double for double, float otherwise.
template <element T>
using compute_t = std::conditional_t<std::same_as<T, double>, double, float>;

namespace detail {

FEAUG_HD constexpr float half_to_float(std::uint16_t bits) {
  const std::uint32_t sign = (bits & 0x8000U) << 16;
  const std::uint32_t magnitude = bits & 0x7FFFU;
  if (magnitude >= 0x7C00U) {  // infinity and NaN keep their payload
    return bit_cast<float>(sign | 0x7F800000U | ((magnitude & 0x03FFU) << 13));
  }
  if (magnitude >= 0x0400U) {  // normal: rebias the exponent from 15 to 127
    return bit_cast<float>(sign | ((magnitude << 13) + (112U << 23)));
  }
  // Subnormal: the value is magnitude · 2⁻²⁴, which float holds exactly.
  const float value = static_cast<float>(magnitude) * 0x1p-24F;
  return sign != 0 ? -value : value;
}

FEAUG_HD constexpr std::uint16_t float_to_half(float value) {
  const std::uint32_t bits = bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000U);
  const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
  if (magnitude > 0x7F800000U) return static_cast<std::uint16_t>(sign | 0x7E00U);  // NaN
  if (magnitude >= 0x477FF000U)
    return static_cast<std::uint16_t>(sign | 0x7C00U);  // rounds to infinity
  if (magnitude < 0x38800000U) {
    // Subnormal: adding ½ leaves magnitude · 2²⁴ in the low bits; the addition itself rounds to
    // nearest even.
    const float shifted = bit_cast<float>(magnitude) + 0.5F;
    return static_cast<std::uint16_t>(sign | (bit_cast<std::uint32_t>(shifted) - 0x3F000000U));
  }
  const std::uint32_t rounded = magnitude - (112U << 23) + 0x0FFFU + ((magnitude >> 13) & 1U);
  return static_cast<std::uint16_t>(sign | (rounded >> 13));
}

FEAUG_HD constexpr float bfloat16_to_float(std::uint16_t bits) {
  return bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

FEAUG_HD constexpr std::uint16_t float_to_bfloat16(float value) {
  const std::uint32_t bits = bit_cast<std::uint32_t>(value);
  if ((bits & 0x7FFFFFFFU) > 0x7F800000U) return static_cast<std::uint16_t>((bits >> 16) | 0x0040U);
  return static_cast<std::uint16_t>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16);
}

}  // namespace detail

/// Converts an element to the type that operators compute with.
template <element T>
FEAUG_HD constexpr compute_t<T> load(T value) {
  if constexpr (std::same_as<T, half>) {
    return detail::half_to_float(value.bits);
  } else if constexpr (std::same_as<T, bfloat16>) {
    return detail::bfloat16_to_float(value.bits);
  } else {
    return value;
  }
}

/// Converts a computed number to an element, rounding to nearest even.
template <element T>
FEAUG_HD constexpr T store(compute_t<T> value) {
  if constexpr (std::same_as<T, half>) {
    return {.bits = detail::float_to_half(value)};
  } else if constexpr (std::same_as<T, bfloat16>) {
    return {.bits = detail::float_to_bfloat16(value)};
  } else {
    return value;
  }
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
