// The multiply-add of every sum that must be bit-identical on CPU and GPU: norms and search scores.
#pragma once

#include "feaug/header_begin.hpp"

#include <cmath>
#include <concepts>

#include "feaug/core/element.hpp"
#include "feaug/core/elementary.hpp"
#include "feaug/core/exact_math.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// sum + a·b, rounded once. For float and the 16-bit types the product is exact in double, so a
/// separate multiplication and addition equals an fma and vectorises on every CPU. For double the
/// fma is explicit, since compilers differ in whether they contract.
template <element T>
FEAUG_HD inline double exact_multiply_add(double sum, T a, T b) {
  if constexpr (std::same_as<T, double>) {
    return feaug::detail::fma(a, b, sum);
  } else {
    return sum + exact::to_double(load(a)) * exact::to_double(load(b));
  }
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
