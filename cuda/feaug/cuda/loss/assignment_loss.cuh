// CUDA implementation of assignment_loss: cross-entropy of predictions against assignments, SwAV's
// loss for a pair of crops.
#pragma once

#include "feaug/header_begin.hpp"

#include <cmath>
#include <string_view>

#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/pointers.cuh"
#include "feaug/cuda/core/unit_backward.cuh"
#include "feaug/cuda/core/warps.cuh"
#include "feaug/cuda/loss/row_losses.cuh"
#include "feaug/cuda/loss/sinkhorn.cuh"
#include "feaug/loss/assignment_loss.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

template <element T>
using device_assignment_loss_options = assignment_loss_options<T, memory_space::device>;

namespace cuda::inline FEAUG_CUBLAS_NAMESPACE {

/// Predictions compared with their target assignments, as in cpu::assignment_direction.
template <element T>
struct assignment_direction {
  operand<T, 2, memory_space::device> scores;
  device_assignment_target<T> target;
  double temperature;
  row_reduction<compute_t<T>> reduction;
  double factor = 1;  ///< of the gradient
};

// Loss and gradient of one direction. One warp per row, which reads the row twice: for the sums,
// then for the loss and the gradient. Limited by memory bandwidth and exponentials: reads scores
// and target scores twice, writes the gradient, up to four exponentials per prototype. Registers:
// at most 128.
template <element T>
__global__ void __launch_bounds__(256, 2)
    assignment_loss_kernel(assignment_direction<T> direction, double* row_losses) {
  using C = compute_t<T>;
  const auto& scores = direction.scores;
  const auto& target = direction.target;
  const index_t cols = scores.value.cols();
  const int lane = static_cast<int>(threadIdx.x);
  for (index_t i = static_cast<index_t>(blockIdx.x) * blockDim.y + threadIdx.y;
       i < scores.value.rows(); i += static_cast<index_t>(gridDim.x) * blockDim.y) {
    const warp_softmax<T> p(scores.value.row(i), 1.0 / direction.temperature, {}, cols, lane);
    const warp_softmax<T> q(target.scores.row(i), 1.0 / target.epsilon, target.potentials, cols,
                            lane);
    const double to_assignment = q.factor(target.iterations > 0);
    const double total = q.sum * to_assignment;
    const double weight =
        direction.factor * direction.reduction.gradient_weight(i) / direction.temperature;
    // A row without assignments has loss 0 whatever its scores.
    const double of_p = total == 0 ? 0.0 : weight * total / p.sum;
    const double of_q = total == 0 ? 0.0 : weight * to_assignment;
    double below = 0;  // Σ assignment · (largest score − score)
    for (index_t j = lane; j < cols; j += warp_lanes) {
      const double assignment = q.weight(j);
      const double difference = p.exponents(j) - p.shift;
      if (assignment != 0) below -= assignment * difference;
      if (scores.wants_gradient()) {
        const double prediction = exp_of_difference<C>{}(difference);
        put_element(scores, i, j, static_cast<C>(of_p * prediction - of_q * assignment));
      }
    }
    if (row_losses == nullptr) continue;
    below = warp_sum(below);
    if (lane == 0)
      row_losses[i] = total == 0 ? 0.0 : to_assignment * below + total * std::log(p.sum);
  }
}

/// Computes the row losses if `row_losses` is not null, and the gradient if wanted.
template <element T>
void run(const operation& call, const assignment_direction<T>& direction, double* row_losses) {
  const dim3 block(warp_lanes, 8);
  call.launch(assignment_loss_kernel<T>, grid_size(direction.scores.value.rows(), block.y), block,
              0, direction, row_losses);
}

/// One call of the loss; the constructor checks the arguments. Scratch: 8 bytes a row.
template <element T>
class assignment_loss_call {
 public:
  using C = compute_t<T>;
  using operand_type = operand<T, 2, memory_space::device>;

  assignment_loss_call(cuda_context& ctx, std::string_view op, const operand_type& scores,
                       const device_assignment_target<T>& target,
                       const device_assignment_loss_options<T>& options,
                       const feaug::detail::loss_vectors<C, memory_space::device>& vectors)
      : call_(ctx, op),
        direction_{.scores = scores,
                   .target = target,
                   .temperature = options.temperature,
                   .reduction = feaug::detail::assignment_loss_arguments<T, memory_space::device>(
                       op, scores, target, options, vectors)} {
    on_device(op, "scores", scores);
    on_device(op, "target.scores", target.scores);
    on_device(op, "target.potentials", target.potentials);
    on_device(op, direction_.reduction);
  }

  [[nodiscard]] index_t outputs() const { return direction_.reduction.outputs(); }

  void run(const device_vector<C>& loss) {
    if (loss.empty() && !direction_.scores.wants_gradient()) return;
    auto* const losses = loss.empty() ? nullptr : call_.take<double>(direction_.reduction.rows);
    cuda::run(call_, direction_, losses);
    if (!loss.empty()) write_loss(call_, direction_.reduction, {losses, nullptr}, loss);
  }

 private:
  operation call_;
  assignment_direction<T> direction_;
};

}  // namespace cuda

template <element T>
struct detail::assignment_loss_call<cuda_context, T> : cuda::assignment_loss_call<T> {
  using cuda::assignment_loss_call<T>::assignment_loss_call;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
