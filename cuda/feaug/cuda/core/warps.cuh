// Reductions over a warp.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda::inline FEAUG_CUBLAS_NAMESPACE {

inline constexpr int warp_lanes = 32;
inline constexpr unsigned all_lanes = ~0U;

/// The sum of all lanes' values, in every lane. The order of addition is fixed.
template <class C>
__device__ C warp_sum(C value) {
  FEAUG_UNROLL
  for (int bits = warp_lanes / 2; bits > 0; bits /= 2)
    value += __shfl_xor_sync(all_lanes, value, bits);
  return value;
}

/// The largest of the lanes' values, in every lane; NaN only if all are NaN.
template <class C>
__device__ C warp_max(C value) {
  FEAUG_UNROLL
  for (int bits = warp_lanes / 2; bits > 0; bits /= 2) {
    const C other = __shfl_xor_sync(all_lanes, value, bits);
    value = other > value || value != value ? other : value;
  }
  return value;
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda

#include "feaug/header_end.hpp"
