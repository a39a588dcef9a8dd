// Copies of vectors with one number per row.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda::inline FEAUG_CUBLAS_NAMESPACE {

// to[i] = from[i], converted. One thread per element. Limited by memory bandwidth: reads and writes
// each element once.
template <class From, class To>
__global__ void __launch_bounds__(256)
    copy_vector_kernel(device_vector<const From> from, device_vector<To> to) {
  for (index_t i = static_cast<index_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < to.size();
       i += static_cast<index_t>(gridDim.x) * blockDim.x) {
    to[i] = static_cast<To>(from[i]);
  }
}

/// to = from, converted element by element; does nothing if `to` is empty.
template <class From, class To>
void copy_vector(const operation& call, const device_vector<const From>& from,
                 const device_vector<To>& to) {
  if (to.empty()) return;
  call.launch(copy_vector_kernel<From, To>, grid_size(to.size(), 256), 256, 0, from, to);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda

#include "feaug/header_end.hpp"
