// CUDA implementation of kl_to_standard_normal: KL divergence of learned Gaussians from the
// standard normal distribution.
#pragma once

#include "feaug/header_begin.hpp"

#include <string_view>

#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/core/pointers.cuh"
#include "feaug/cuda/core/unit_backward.cuh"
#include "feaug/cuda/core/warps.cuh"
#include "feaug/cuda/loss/row_losses.cuh"
#include "feaug/loss/kl_to_standard_normal.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

template <element T>
using device_kl_to_standard_normal_options = kl_to_standard_normal_options<T, memory_space::device>;

namespace cuda::inline FEAUG_CUBLAS_NAMESPACE {

// Loss and wanted gradients of each row, from one reading. One warp per row. Limited by memory
// bandwidth: reads 2·cols elements, writes cols elements per gradient. Registers: at most 64.
template <element T>
__global__ void __launch_bounds__(256, 3)
    kl_to_standard_normal_kernel(operand<T, 2, memory_space::device> mean,
                                 operand<T, 2, memory_space::device> log_variance,
                                 row_reduction<compute_t<T>> reduction, double* losses) {
  using C = compute_t<T>;
  const index_t cols = mean.value.cols();
  const int lane = static_cast<int>(threadIdx.x);
  for (index_t i = static_cast<index_t>(blockIdx.x) * blockDim.y + threadIdx.y;
       i < mean.value.rows(); i += static_cast<index_t>(gridDim.x) * blockDim.y) {
    const double weight = reduction.gradient_weight(i);
    double sum = 0;
    for (index_t j = lane; j < cols; j += warp_lanes) {
      const feaug::detail::normal_divergence divergence(
          static_cast<double>(load(mean.value(i, j))),
          static_cast<double>(load(log_variance.value(i, j))));
      sum += divergence.value;
      if (mean.wants_gradient())
        put_element(mean, i, j, static_cast<C>(weight * divergence.by_mean));
      if (log_variance.wants_gradient())
        put_element(log_variance, i, j, static_cast<C>(weight * divergence.by_log_variance));
    }
    sum = warp_sum(sum);
    if (lane == 0 && losses != nullptr) losses[i] = sum;
  }
}

/// One call of the loss; the constructor checks the arguments. Scratch: 8 bytes a row.
template <element T>
class kl_to_standard_normal_call {
 public:
  using C = compute_t<T>;
  using operand_type = operand<T, 2, memory_space::device>;

  kl_to_standard_normal_call(cuda_context& ctx, std::string_view op, const operand_type& mean,
                             const operand_type& log_variance,
                             const device_kl_to_standard_normal_options<T>& options,
                             const feaug::detail::loss_vectors<C, memory_space::device>& vectors)
      : call_(ctx, op), mean_(mean), log_variance_(log_variance) {
    reduction_ = feaug::detail::kl_to_standard_normal_arguments<T, memory_space::device>(
        op, mean, log_variance, options, vectors);
    on_device(op, "mean", mean);
    on_device(op, "log_variance", log_variance);
    on_device(op, reduction_);
  }

  [[nodiscard]] index_t outputs() const { return reduction_.outputs(); }

  /// One launch computes the row losses, if `loss` is not empty, and the wanted gradients.
  void run(const device_vector<C>& loss) {
    if (loss.empty() && !mean_.wants_gradient() && !log_variance_.wants_gradient()) return;
    const index_t rows = reduction_.rows;
    auto* losses = loss.empty() ? nullptr : call_.take<double>(rows);
    const dim3 block(warp_lanes, 8);
    call_.launch(kl_to_standard_normal_kernel<T>, grid_size(rows, block.y), block, 0, mean_,
                 log_variance_, reduction_, losses);
    if (!loss.empty()) write_loss(call_, reduction_, {losses, nullptr}, loss);
  }

 private:
  operation call_;
  operand_type mean_;
  operand_type log_variance_;
  row_reduction<C> reduction_;
};

}  // namespace cuda

template <element T>
struct detail::kl_to_standard_normal_call<cuda_context, T> : cuda::kl_to_standard_normal_call<T> {
  using cuda::kl_to_standard_normal_call<T>::kl_to_standard_normal_call;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
