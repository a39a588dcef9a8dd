// Scalar parameters of a loss, such as the temperature: fixed, or learnable and in device memory.
#pragma once

#include "feaug/header_begin.hpp"

#include <cmath>

#include "feaug/core/operand.hpp"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda::inline FEAUG_CUBLAS_NAMESPACE {

/// A fixed scalar, or a learnable one if `learnable` is not null.
template <class C>
struct number {
  double option = 1;
  const C* learnable = nullptr;

  [[nodiscard]] __device__ double value() const {
    return learnable == nullptr ? option : static_cast<double>(*learnable);
  }
};

template <class C>
number<C> number_of(double option, const operand<C, 1, memory_space::device>& learnable) {
  return {.option = option, .learnable = learnable.value.data};
}

template <class C>
struct temperature {
  number<C> given = {};

  /// NaN if a learnable temperature is not above 0.
  [[nodiscard]] __device__ double value() const {
    const double tau = given.value();
    return tau > 0 ? tau : static_cast<double>(NAN);
  }
};

template <class C>
temperature<C> temperature_of(double option, const operand<C, 1, memory_space::device>& learnable) {
  return {.given = number_of(option, learnable)};
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda

#include "feaug/header_end.hpp"
