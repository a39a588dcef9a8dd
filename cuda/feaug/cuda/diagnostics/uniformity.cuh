// CUDA implementation of uniformity: how evenly features are spread over the sphere.
#pragma once

#include "feaug/core/element.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/pointers.cuh"
#include "feaug/cuda/loss/alignment_and_uniformity.cuh"
#include "feaug/cuda/loss/row_stack.cuh"
#include "feaug/diagnostics/uniformity.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Scratch: a packed copy of x, 16 bytes a row, and that of soft_max_pass.
template <>
struct detail::uniformity_on<cuda_context> {
  template <element T>
  static void run(cuda_context& ctx, const device_matrix<const T>& x,
                  const device_vector<double>& to, const uniformity_options& options) {
    cuda::operation call(ctx, "uniformity");
    const auto stack = cuda::make_stack<T>(call, true, x, {}, false);
    auto* const log_sums = call.take<double>(x.rows());
    cuda::soft_max_over_others<T>(call, stack, options.t, {.log_sum = log_sums});
    cuda::write_uniformity(call, log_sums, x.rows(), options.t, 1, to.data, nullptr);
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
