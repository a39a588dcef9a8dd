// Swapped assignment: each view is to predict the other's balanced assignment to prototypes.
#pragma once

#include <string_view>
#include <type_traits>

#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/loss/assignment.hpp"
#include "feaug/cpu/loss/row_loss.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/swapped_assignment.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace detail {

template <element T>
class swapped_assignment_call {
 public:
  using C = compute_t<T>;

  swapped_assignment_call(cpu_context& ctx, std::string_view op, const operand<T>& scores_a,
                          const operand<T>& scores_b, const swapped_assignment_options<T>& options,
                          vector_view<const C> cotangent = {})
      : ctx_(ctx), scratch_(ctx.workspace), views_{scores_a, scores_b}, options_(options) {
    reduction_ = swapped_assignment_arguments<T, memory_space::host>(op, scores_a, scores_b,
                                                                     options, cotangent);
  }

  [[nodiscard]] index_t outputs() const { return reduction_.outputs(); }
  [[nodiscard]] index_t prototypes() const { return views_[0].value.cols(); }

  /// The potentials of both views.
  void balance() {
    auto* const found = scratch_.template take<double>(2 * prototypes());
    for (int view = 0; view < 2; ++view) {
      cpu::sinkhorn_iterations<T>(
          ctx_,
          {.first = views_[view].value,
           .second = view == 0 ? options_.extra_scores_a : options_.extra_scores_b},
          prototypes(), options_.epsilon, options_.iterations, found + view * prototypes());
    }
    potentials_ = {found, 2 * prototypes()};
  }
  void restore(const vector_view<const double>& statistics) { potentials_ = statistics; }

  /// Each view against the other's assignments; a direction that nobody asks anything of is left
  /// out.
  void run(vector_view<C> loss, vector_view<double> statistics) {
    const index_t rows = reduction_.rows;
    auto* const losses = scratch_.template take<double>(2 * rows);
    for (int view = 0; view < 2; ++view) {
      if (loss.empty() && !views_[view].wants_gradient()) continue;
      const cpu::assignment_direction<T> direction = {.scores = views_[view],
                                                      .target = assignments_of(1 - view),
                                                      .temperature = options_.temperature,
                                                      .reduction = reduction_,
                                                      .factor = 0.5};
      direction.run(ctx_, losses + view * rows);
    }
    if (!loss.empty()) {
      for (index_t i = 0; i < rows; ++i) losses[i] = 0.5 * (losses[i] + losses[rows + i]);
      cpu::write_loss(reduction_, losses, loss);
    }
    for (index_t j = 0; j < statistics.size(); ++j) statistics[j] = potentials_[j];
  }

 private:
  [[nodiscard]] assignment_target<T> assignments_of(int view) const {
    vector_view<const double> own = potentials_;
    own.data += view * prototypes() * own.strides[0];
    own.extents[0] = prototypes();
    return {.scores = views_[view].value,
            .potentials = own,
            .epsilon = options_.epsilon,
            .iterations = options_.iterations};
  }

  cpu_context& ctx_;
  workspace::scope scratch_;
  operand<T> views_[2];
  swapped_assignment_options<T> options_;
  row_reduction<C> reduction_;
  vector_view<const double> potentials_;  // view a's, then b's
};

}  // namespace detail

/// loss_i = −½ Σ_j (q^b_ij log p^a_ij + q^a_ij log p^b_ij), p = softmax(scores / temperature), q
/// the assignments that sinkhorn makes of the scores, which are constants (Caron et al., SwAV,
/// arXiv 2006.09882).
///
/// * scores_a, scores_b: N × P, of the samples' two views with the P prototypes.
/// * loss: 1 element or N (reduce::none).
/// * statistics: if given, gets the 2P potentials for swapped_assignment_backward.
///
/// The gradient by scores_a is ½ (p^a_ij Σ_k q^b_ik − q^b_ij) / temperature. No assignments are
/// stored: they are made again from the potentials. NaN or +∞ in a score makes every row loss NaN,
/// since all rows read it; for −∞ see sinkhorn and assignment_loss. Scratch: 24 bytes a row, 16 a
/// prototype, 32 a prototype and thread.
template <class A, class B, class T = std::remove_const_t<A>>
requires element<T> && std::same_as<T, std::remove_const_t<B>>
void swapped_assignment(cpu_context& ctx, const matrix_view<A>& scores_a,
                        const matrix_view<B>& scores_b,
                        std::type_identity_t<vector_view<compute_t<T>>> loss,
                        const std::type_identity_t<swapped_assignment_options<T>>& options = {},
                        vector_view<double> statistics = {}) {
  constexpr std::string_view op = "swapped_assignment";
  detail::swapped_assignment_call<T> call(ctx, op, stop_gradient(scores_a), stop_gradient(scores_b),
                                          options);
  check::loss_outputs(op, loss, call.outputs(), {}, 0);
  check::swapped_statistics(op, statistics, call.prototypes(), "the potentials of both views");
  call.balance();
  call.run(loss, statistics);
}

/// The same loss as a number, for mean and sum.
template <class A, class B, class T = std::remove_const_t<A>>
requires element<T> && std::same_as<T, std::remove_const_t<B>> compute_t<T> swapped_assignment(
    cpu_context& ctx, const matrix_view<A>& scores_a, const matrix_view<B>& scores_b,
    const std::type_identity_t<swapped_assignment_options<T>>& options = {}) {
  check::one_number("swapped_assignment", options.reduction);
  compute_t<T> loss{};
  swapped_assignment(ctx, scores_a, scores_b, scalar(loss), options);
  return loss;
}

/// The gradients from what swapped_assignment left in `statistics` (2P), for a `cotangent` of one
/// element or N (reduce::none). No iteration is made again.
template <element T>
void swapped_assignment_backward(
    cpu_context& ctx, const operand<T>& scores_a, const operand<T>& scores_b,
    vector_view<const double> statistics,
    std::type_identity_t<vector_view<const compute_t<T>>> cotangent,
    const std::type_identity_t<swapped_assignment_options<T>>& options = {}) {
  constexpr std::string_view op = "swapped_assignment_backward";
  detail::swapped_assignment_call<T> call(ctx, op, scores_a, scores_b, options, cotangent);
  check::swapped_statistics(op, statistics, call.prototypes(), "as the forward pass wrote them");
  check::has_cotangent(op, cotangent);
  call.restore(statistics);
  call.run({}, {});
}

/// Loss and gradients in one go, for a cotangent of options.gradient_scale.
template <element T>
void swapped_assignment_with_gradients(
    cpu_context& ctx, const operand<T>& scores_a, const operand<T>& scores_b,
    std::type_identity_t<vector_view<compute_t<T>>> loss,
    const std::type_identity_t<swapped_assignment_options<T>>& options = {}) {
  constexpr std::string_view op = "swapped_assignment_with_gradients";
  detail::swapped_assignment_call<T> call(ctx, op, scores_a, scores_b, options);
  check::loss_outputs(op, loss, call.outputs(), {}, 0);
  call.balance();
  call.run(loss, {});
}

/// The same, with the loss as a number, for mean and sum.
template <element T>
compute_t<T> swapped_assignment_with_gradients(
    cpu_context& ctx, const operand<T>& scores_a, const operand<T>& scores_b,
    const std::type_identity_t<swapped_assignment_options<T>>& options = {}) {
  check::one_number("swapped_assignment_with_gradients", options.reduction);
  compute_t<T> loss{};
  swapped_assignment_with_gradients(ctx, scores_a, scores_b, scalar(loss), options);
  return loss;
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
