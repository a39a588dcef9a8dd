// CUDA implementation of step and step_direction: includes the operators that they call, and has
// the sums that no operator does.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/augment/augmentation.cuh"
#include "feaug/cuda/augment/l2_normalize.cuh"
#include "feaug/cuda/augment/noise.cuh"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/core/vec4.cuh"
#include "feaug/cuda/loss/info_nce.cuh"
#include "feaug/cuda/loss/negative_cosine.cuh"
#include "feaug/cuda/loss/nt_xent.cuh"
#include "feaug/step/step.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

template <element T>
using device_step_options = step_options<T, memory_space::device>;

namespace cuda::inline FEAUG_CUBLAS_NAMESPACE {

/// Overwrites x's gradient with `gradient`, or accumulates into it.
template <element T>
void put_gradient_matrix(const operation& call, const operand<T, 2, memory_space::device>& x,
                         const device_matrix<const T>& gradient) {
  for_each_vec4(call, gradient.rows(), gradient.cols(), {},
                pass_gradient<T>{x, gradient, compute_t<T>{1}});
}

// *total += weight · loss, by one thread. Limited by launch latency.
template <class C>
__global__ void add_to_total_kernel(double weight, device_vector<C> loss, double* total) {
  *total += weight * static_cast<double>(loss[0]);
}

// loss = *total, by one thread. Limited by launch latency.
template <class C>
__global__ void write_total_kernel(const double* total, device_vector<C> loss) {
  loss[0] = static_cast<C>(*total);
}

/// total += weight · loss
template <class C>
void add_to_total(const operation& call, double weight, const device_vector<C>& loss,
                  double* total) {
  call.launch(add_to_total_kernel<C>, 1, 1, 0, weight, loss, total);
}

/// loss = total
template <class C>
void write_total(const operation& call, const double* total, const device_vector<C>& loss) {
  call.launch(write_total_kernel<C>, 1, 1, 0, total, loss);
}

}  // namespace cuda
}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
