// The one step of every sum that CPU and GPU must agree on to the last bit: norms and search
// scores.
#pragma once

#include <cmath>
#include <concepts>

#include "feaug/core/element.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// sum + a·b, rounded once. Up to float the product is exact in double, so multiplying and adding
/// is the same as an fma and vectorises anywhere; for doubles the fma is spelled out, or compilers
/// would differ in whether they contract.
template <element T>
FEAUG_HD inline double exact_multiply_add(double sum, T a, T b) {
  if constexpr (std::same_as<T, double>) {
    return std::fma(a, b, sum);
  } else {
    return sum + static_cast<double>(load(a)) * static_cast<double>(load(b));
  }
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
