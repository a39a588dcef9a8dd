// Predictions held against assignments: what SwAV asks of every pair of crops.
#pragma once

#include <string_view>
#include <type_traits>

#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/loss/assignment.hpp"
#include "feaug/cpu/loss/row_loss.hpp"
#include "feaug/loss/assignment.hpp"
#include "feaug/loss/assignment_loss.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace detail {

template <element T>
class assignment_loss_call {
 public:
  using C = compute_t<T>;

  assignment_loss_call(cpu_context& ctx, std::string_view op, const operand<T>& scores,
                       const assignment_target<T>& target,
                       const assignment_loss_options<T>& options,
                       vector_view<const C> cotangent = {})
      : ctx_(ctx),
        direction_{.scores = scores,
                   .target = target,
                   .temperature = options.temperature,
                   .reduction = assignment_loss_arguments<T, memory_space::host>(
                       op, scores, target, options, cotangent)} {}

  [[nodiscard]] index_t outputs() const { return direction_.reduction.outputs(); }

  void run(vector_view<C> loss) {
    workspace::scope scratch(ctx_.workspace);
    auto* const row_losses = scratch.take<double>(direction_.reduction.rows);
    direction_.run(ctx_, row_losses);
    if (!loss.empty()) cpu::write_loss(direction_.reduction, row_losses, loss);
  }

 private:
  cpu_context& ctx_;
  cpu::assignment_direction<T> direction_;
};

}  // namespace detail

/// loss_i = −Σ_j q_ij log p_ij, p = softmax(scores / temperature), q the target's assignments, a
/// constant (Caron et al., SwAV, arXiv 2006.09882).
///
/// scores N × P, those of the crop that predicts; target: of the same samples, see
/// assignment_target. loss 1 element or N (reduce::none). The gradient by the scores is (p_ij Σ_k
/// q_ik − q_ij) / temperature. Where p_ij is 0 because a score is −∞ the loss is ∞, unless q_ij is
/// 0, too. NaN in a row makes its loss NaN. Scratch: 8 bytes a row, 32 a prototype and thread.
template <class S, class T = std::remove_const_t<S>>
requires element<T>
void assignment_loss(cpu_context& ctx, const matrix_view<S>& scores,
                     const std::type_identity_t<assignment_target<T>>& target,
                     std::type_identity_t<vector_view<compute_t<T>>> loss,
                     const std::type_identity_t<assignment_loss_options<T>>& options = {}) {
  detail::assignment_loss_call<T> call(ctx, "assignment_loss", stop_gradient(scores), target,
                                       options);
  check::loss_outputs("assignment_loss", loss, call.outputs(), {}, 0);
  call.run(loss);
}

/// The same loss as a number, for mean and sum.
template <class S, class T = std::remove_const_t<S>>
requires element<T> compute_t<T> assignment_loss(
    cpu_context& ctx, const matrix_view<S>& scores,
    const std::type_identity_t<assignment_target<T>>& target,
    const std::type_identity_t<assignment_loss_options<T>>& options = {}) {
  check::one_number("assignment_loss", options.reduction);
  compute_t<T> loss{};
  assignment_loss(ctx, scores, target, scalar(loss), options);
  return loss;
}

/// The gradient for a `cotangent` of one element or N (reduce::none). Needs no statistics but the
/// target's potentials.
template <element T>
void assignment_loss_backward(
    cpu_context& ctx, const operand<T>& scores,
    const std::type_identity_t<assignment_target<T>>& target,
    std::type_identity_t<vector_view<const compute_t<T>>> cotangent,
    const std::type_identity_t<assignment_loss_options<T>>& options = {}) {
  constexpr std::string_view op = "assignment_loss_backward";
  detail::assignment_loss_call<T> call(ctx, op, scores, target, options, cotangent);
  check::has_cotangent(op, cotangent);
  if (scores.wants_gradient()) call.run({});
}

/// Loss and gradient in one pass, for a cotangent of options.gradient_scale.
template <element T>
void assignment_loss_with_gradients(
    cpu_context& ctx, const operand<T>& scores,
    const std::type_identity_t<assignment_target<T>>& target,
    std::type_identity_t<vector_view<compute_t<T>>> loss,
    const std::type_identity_t<assignment_loss_options<T>>& options = {}) {
  constexpr std::string_view op = "assignment_loss_with_gradients";
  detail::assignment_loss_call<T> call(ctx, op, scores, target, options);
  check::loss_outputs(op, loss, call.outputs(), {}, 0);
  call.run(loss);
}

/// The same, with the loss as a number, for mean and sum.
template <element T>
compute_t<T> assignment_loss_with_gradients(
    cpu_context& ctx, const operand<T>& scores,
    const std::type_identity_t<assignment_target<T>>& target,
    const std::type_identity_t<assignment_loss_options<T>>& options = {}) {
  check::one_number("assignment_loss_with_gradients", options.reduction);
  compute_t<T> loss{};
  assignment_loss_with_gradients(ctx, scores, target, scalar(loss), options);
  return loss;
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
