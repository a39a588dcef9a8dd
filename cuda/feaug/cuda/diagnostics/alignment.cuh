// CUDA implementation of alignment: the mean distance between the two views of a sample.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/core/element.hpp"
#include "feaug/core/reduce.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/compare_rows.cuh"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/core/pointers.cuh"
#include "feaug/cuda/core/warps.cuh"
#include "feaug/cuda/loss/row_losses.cuh"
#include "feaug/diagnostics/alignment.hpp"
#include "feaug/loss/alignment_and_uniformity.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cuda::inline FEAUG_CUBLAS_NAMESPACE {

// distances[i] = ‖unit(a_i) − unit(b_i)‖^alpha. One warp per row. Limited by memory bandwidth:
// reads both rows twice, writes 8 bytes. (Without a minimum of 2 blocks, ptxas would use fewer
// registers on sm_80, and spill.) Registers: at most 112.
template <element T>
__global__ void __launch_bounds__(256, 2)
    alignment_kernel(device_matrix<const T> a, device_matrix<const T> b, double alpha,
                     double* distances) {
  const int lane = static_cast<int>(threadIdx.x);
  for (index_t i = static_cast<index_t>(blockIdx.x) * blockDim.y + threadIdx.y; i < a.rows();
       i += static_cast<index_t>(gridDim.x) * blockDim.y) {
    const compared_rows<T> pair = compare_rows(a.row(i), b.row(i), a.cols(), lane);
    double squared = 0;
    for (index_t j = lane; j < a.cols(); j += warp_lanes) {
      const double difference = pair.unit(0, j) - pair.unit(1, j);
      squared += difference * difference;
    }
    squared = warp_sum(squared);
    if (lane == 0) distances[i] = feaug::detail::distance_to_the(alpha, squared);
  }
}

}  // namespace cuda

template <>
struct detail::alignment_on<cuda_context> {
  template <element T>
  static void run(cuda_context& ctx, const device_matrix<const T>& a,
                  const device_matrix<const T>& b, const device_vector<double>& to,
                  const alignment_options& options) {
    cuda::operation call(ctx, "alignment");
    auto* const distances = call.take<double>(a.rows());
    const dim3 block(cuda::warp_lanes, 8);
    call.launch(cuda::alignment_kernel<T>, cuda::grid_size(a.rows(), block.y), block, 0, a, b,
                options.alpha, distances);
    cuda::write_loss<double>(call, {.reduction = reduce::mean, .rows = a.rows()},
                             {distances, nullptr}, to);
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
