// assignment_loss on a GPU; see feaug/cpu/loss/assignment_loss.hpp for what it computes.
#pragma once

#include <string_view>
#include <type_traits>

#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/cuda/core/context.cuh"
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

namespace cuda {

/// Predictions held against assignments, as cpu::assignment_direction has it.
template <element T>
struct assignment_direction {
  operand<T, 2, memory_space::device> scores;
  device_assignment_target<T> target;
  double temperature;
  row_reduction<compute_t<T>> reduction;
  double factor = 1;  ///< of the gradient
};

// A warp a row, which it reads twice: for the sums, then for the loss and the gradient. Registers:
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
    const warp_soft_max<T> p(scores.value.row(i), 1.0 / direction.temperature, {}, cols, lane);
    const warp_soft_max<T> q(target.scores.row(i), 1.0 / target.epsilon, target.potentials, cols,
                             lane);
    const double to_assignment = q.factor(target.iterations > 0);
    const double total = q.sum * to_assignment;
    const double weight =
        direction.factor * direction.reduction.gradient_weight(i) / direction.temperature;
    // A row without assignments has no loss, whatever its scores.
    const double of_p = total == 0 ? 0.0 : weight * total / p.sum;
    const double of_q = total == 0 ? 0.0 : weight * to_assignment;
    double below = 0;  // how far scores are below the largest, weighted
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

/// Row losses where `row_losses` is not null, and the gradient if it is wanted.
template <element T>
void run(const operation& call, const assignment_direction<T>& direction, double* row_losses) {
  const dim3 block(warp_lanes, 8);
  call.launch(assignment_loss_kernel<T>, grid_size(direction.scores.value.rows(), block.y), block,
              0, direction, row_losses);
}

template <element T>
class assignment_loss_call {
 public:
  using C = compute_t<T>;
  using operand_type = operand<T, 2, memory_space::device>;

  assignment_loss_call(cuda_context& ctx, std::string_view op, const operand_type& scores,
                       const device_assignment_target<T>& target,
                       const device_assignment_loss_options<T>& options,
                       const device_vector<const C>& cotangent = {})
      : call_(ctx, op),
        direction_{.scores = scores,
                   .target = target,
                   .temperature = options.temperature,
                   .reduction = feaug::detail::assignment_loss_arguments<T, memory_space::device>(
                       op, scores, target, options, cotangent)} {
    on_device(op, "scores", scores);
    on_device(op, "target.scores", target.scores);
    on_device(op, "target.potentials", target.potentials);
    on_device(op, direction_.reduction);
  }

  [[nodiscard]] index_t outputs() const { return direction_.reduction.outputs(); }

  void run(const device_vector<C>& loss) {
    auto* const losses = loss.empty() ? nullptr : call_.take<double>(direction_.reduction.rows);
    cuda::run(call_, direction_, losses);
    if (!loss.empty()) write_loss(call_, direction_.reduction, {losses, nullptr}, loss);
  }

 private:
  operation call_;
  assignment_direction<T> direction_;
};

}  // namespace cuda

/// The loss, as on the CPU, into one element or N of device memory. Scratch: 8 bytes a row.
template <class S, class T = std::remove_const_t<S>>
requires element<T>
void assignment_loss(cuda_context& ctx, const device_matrix<S>& scores,
                     const std::type_identity_t<device_assignment_target<T>>& target,
                     std::type_identity_t<device_vector<compute_t<T>>> loss,
                     const std::type_identity_t<device_assignment_loss_options<T>>& options = {}) {
  constexpr std::string_view op = "assignment_loss";
  cuda::assignment_loss_call<T> call(ctx, op, stop_gradient(scores), target, options);
  check::loss_outputs(op, loss, call.outputs(), {}, 0);
  cuda::on_device(op, "loss", loss);
  call.run(loss);
}

/// The gradient for a cotangent of one element or N in device memory.
template <element T>
void assignment_loss_backward(
    cuda_context& ctx, const operand<T, 2, memory_space::device>& scores,
    const std::type_identity_t<device_assignment_target<T>>& target,
    std::type_identity_t<device_vector<const compute_t<T>>> cotangent,
    const std::type_identity_t<device_assignment_loss_options<T>>& options = {}) {
  constexpr std::string_view op = "assignment_loss_backward";
  cuda::assignment_loss_call<T> call(ctx, op, scores, target, options, cotangent);
  check::has_cotangent(op, cotangent);
  if (scores.wants_gradient()) call.run({});
}

/// Loss and gradient in one pass, for a cotangent of options.gradient_scale.
template <element T>
void assignment_loss_with_gradients(
    cuda_context& ctx, const operand<T, 2, memory_space::device>& scores,
    const std::type_identity_t<device_assignment_target<T>>& target,
    std::type_identity_t<device_vector<compute_t<T>>> loss,
    const std::type_identity_t<device_assignment_loss_options<T>>& options = {}) {
  constexpr std::string_view op = "assignment_loss_with_gradients";
  cuda::assignment_loss_call<T> call(ctx, op, scores, target, options);
  check::loss_outputs(op, loss, call.outputs(), {}, 0);
  cuda::on_device(op, "loss", loss);
  call.run(loss);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
