// CUDA implementation of uniformity: how evenly features are spread over the sphere.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/core/element.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/pointers.cuh"
#include "feaug/cuda/loss/alignment_and_uniformity.cuh"
#include "feaug/cuda/loss/concatenated_rows.cuh"
#include "feaug/diagnostics/uniformity.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Scratch: a packed copy of x, 16 bytes a row, and that of softmax_pass.
template <>
struct detail::uniformity_on<cuda_context> {
  template <element T>
  static void run(cuda_context& ctx, const device_matrix<const T>& x,
                  const device_vector<double>& to, const uniformity_options& options) {
    cuda::operation call(ctx, "uniformity");
    const auto stack = cuda::concatenate_rows<T>(call, true, x, {}, false);
    auto* const log_sum_exps = call.take<double>(x.rows());
    cuda::softmax_over_others<T>(call, stack, options.t, {.log_sum_exp = log_sum_exps});
    cuda::write_uniformity(call, log_sum_exps, x.rows(), options.t, 1, to.data, nullptr);
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
