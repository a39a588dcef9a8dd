// CUDA implementation of feature_deviation: the standard deviation of every feature over the batch.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/core/columns.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/reduce.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/columns.cuh"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/l2_norm.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/core/pointers.cuh"
#include "feaug/cuda/loss/row_losses.cuh"
#include "feaug/diagnostics/feature_deviation.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cuda::inline FEAUG_CUBLAS_NAMESPACE {

// Calls finish(j) for every feature j, one thread per feature. Limited by memory bandwidth: reads
// and writes a few doubles per feature.
template <class Finish>
__global__ void __launch_bounds__(256) feature_deviation_kernel(index_t features, Finish finish) {
  for (index_t j = static_cast<index_t>(blockIdx.x) * blockDim.x + threadIdx.x; j < features;
       j += static_cast<index_t>(gridDim.x) * blockDim.x) {
    finish(j);
  }
}

}  // namespace cuda

template <>
struct detail::feature_deviation_on<cuda_context> {
  template <element T>
  static void run(cuda_context& ctx, const device_matrix<const T>& x,
                  const device_vector<double>& to, const device_vector<double>& deviations) {
    cuda::operation call(ctx, "feature_deviation");
    const index_t features = x.cols();
    auto* const inverse = call.take<double>(x.rows());
    auto* const mean = call.take<double>(features);
    auto* const squares = call.take<double>(features);
    auto* const scaled = call.take<double>(features);
    cuda::row_norms<T>(call, x, cuda::norm_output::inverse, default_norm_eps, inverse);
    cuda::column_moments<T>(call, {.x = x, .inverse_norm = inverse}, mean, squares);
    using finish = feature_deviation_of<memory_space::device>;
    call.launch(cuda::feature_deviation_kernel<finish>, cuda::grid_size(features, 256), 256, 0,
                features, finish{squares, x.rows(), features, deviations, scaled});
    cuda::write_loss<double>(call, {.reduction = reduce::mean, .rows = features}, {scaled, nullptr},
                             to);
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
