// CUDA implementation of negative_cosine: negative cosine similarity between a prediction and its
// targets (BYOL, SimSiam).
#pragma once

#include "feaug/header_begin.hpp"

#include <cstddef>
#include <span>
#include <string_view>

#include "feaug/core/element.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/compare_rows.cuh"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/core/pointers.cuh"
#include "feaug/cuda/core/unit_backward.cuh"
#include "feaug/cuda/core/warps.cuh"
#include "feaug/cuda/loss/row_losses.cuh"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/negative_cosine.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

template <element T>
using device_negative_cosine_options = negative_cosine_options<T, memory_space::device>;

namespace cuda::inline FEAUG_CUBLAS_NAMESPACE {

// Loss and wanted gradients of each row: for unit rows p and t with cosine c, ∂c/∂x_p = (t − c·p) /
// ‖x_p‖. If `adds`, the loss is added to `losses`. One warp per row. Limited by memory bandwidth:
// reads 2·cols elements, and for each gradient again 2·cols read and cols written. Registers: at
// most 128.
template <element T>
__global__ void __launch_bounds__(256, 2)
    negative_cosine_kernel(operand<T, 2, memory_space::device> prediction,
                           operand<T, 2, memory_space::device> target, cosine_form form,
                           row_reduction<compute_t<T>> reduction, double* losses, bool adds) {
  const index_t cols = prediction.value.cols();
  const int lane = static_cast<int>(threadIdx.x);
  for (index_t i = static_cast<index_t>(blockIdx.x) * blockDim.y + threadIdx.y;
       i < prediction.value.rows(); i += static_cast<index_t>(gridDim.x) * blockDim.y) {
    const compared_rows<T> pair =
        compare_rows(prediction.value.row(i), target.value.row(i), cols, lane);
    const double slope = form == cosine_form::byol ? -2.0 : -1.0;
    if (lane == 0 && losses != nullptr) {
      const double loss = form == cosine_form::byol ? 2.0 - 2.0 * pair.cosine : -pair.cosine;
      losses[i] = adds ? losses[i] + loss : loss;
    }
    const double weight = slope * reduction.gradient_weight(i);
    const auto put_gradient = [&](const operand<T, 2, memory_space::device>& x, int side) {
      if (!x.wants_gradient()) return;
      const double factor = pair.factor[side];
      const bool no_direction = has_no_direction(factor, default_norm_eps);
      for (index_t j = lane; j < cols; j += warp_lanes) {
        const double across = pair.unit(1 - side, j) - pair.cosine * pair.unit(side, j);
        const double gradient = no_direction ? 0.0 : weight * across * factor;
        put_element(x, i, j, static_cast<compute_t<T>>(gradient));
      }
    };
    put_gradient(prediction, 0);
    put_gradient(target, 1);
  }
}

/// One call of the loss; the constructor checks the arguments. Scratch: 8 bytes a row.
template <element T>
class negative_cosine_call {
 public:
  using C = compute_t<T>;
  using operand_type = operand<T, 2, memory_space::device>;

  /// `targets` must outlive the call.
  negative_cosine_call(cuda_context& ctx, std::string_view op, const operand_type& prediction,
                       std::span<const operand_type> targets,
                       const device_negative_cosine_options<T>& options,
                       const feaug::detail::loss_vectors<C, memory_space::device>& vectors)
      : call_(ctx, op), prediction_(prediction), targets_(targets), form_(options.form) {
    reduction_ = feaug::detail::negative_cosine_arguments<T, memory_space::device>(
        op, prediction, targets, options, vectors);
    on_device(op, "prediction", prediction);
    for (std::size_t k = 0; k < targets.size(); ++k)
      on_device(op, feaug::detail::target_name(k, targets.size()), targets[k]);
    on_device(op, reduction_);
  }

  [[nodiscard]] index_t outputs() const { return reduction_.outputs(); }

  /// Writes the loss, if `loss` is not empty, and the wanted gradients. One launch per target; each
  /// adds to the results of the previous ones.
  void run(const device_vector<C>& loss) {
    if (loss.empty() && !prediction_.wants_gradient() && !feaug::detail::wants_gradient(targets_))
      return;
    const index_t rows = reduction_.rows;
    auto* losses = loss.empty() ? nullptr : call_.take<double>(rows);
    const dim3 block(warp_lanes, 8);
    operand_type prediction = prediction_;
    bool adds = false;
    for (const operand_type& target : targets_) {
      call_.launch(negative_cosine_kernel<T>, grid_size(rows, block.y), block, 0, prediction,
                   target, form_, reduction_, losses, adds);
      adds = true;
      if (prediction.wants_gradient()) prediction.mode = gradient_mode::accumulate;
    }
    if (!loss.empty()) write_loss(call_, reduction_, {losses, nullptr}, loss);
  }

 private:
  operation call_;
  operand_type prediction_;
  std::span<const operand_type> targets_;
  cosine_form form_;
  row_reduction<C> reduction_;
};

}  // namespace cuda

template <element T>
struct detail::negative_cosine_call<cuda_context, T> : cuda::negative_cosine_call<T> {
  using cuda::negative_cosine_call<T>::negative_cosine_call;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
