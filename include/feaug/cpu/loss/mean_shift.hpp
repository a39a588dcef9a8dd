// Mean shift: a prediction is drawn to the neighbours of its target.
#pragma once

#include <algorithm>
#include <limits>
#include <string_view>
#include <type_traits>

#include "feaug/core/error.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/reduce.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/parallel.hpp"
#include "feaug/cpu/core/rows.hpp"
#include "feaug/cpu/core/unit_rows.hpp"
#include "feaug/cpu/loss/row_loss.hpp"
#include "feaug/cpu/queue/compare_neighbours.hpp"
#include "feaug/cpu/queue/support_rows.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/mean_shift.hpp"
#include "feaug/queue/support_rows.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace detail {

template <element T>
class mean_shift_call {
 public:
  using C = compute_t<T>;

  mean_shift_call(cpu_context& ctx, std::string_view op, const operand<T>& prediction,
                  const support_rows<T>& support, const mean_shift_options<T>& options,
                  vector_view<const C> cotangent = {})
      : ctx_(ctx), prediction_(prediction), support_(support), options_(options) {
    reduction_ = mean_shift_arguments(op, prediction, support, options, cotangent);
  }

  [[nodiscard]] index_t outputs() const { return reduction_.outputs(); }

  /// Row losses where a loss is wanted, and the gradient if it is: by the slots that are `given`,
  /// or by a search for the targets' neighbours, whose slots go to `indices` if that is there.
  void run(const matrix_view<const T>& targets, const matrix_view<const index_t>& given,
           const matrix_view<index_t>& indices, vector_view<C> loss) {
    const index_t k = options_.k;
    const index_t cols = prediction_.value.cols();
    workspace::scope scratch(ctx_.workspace);
    const cpu::row_buffers<cpu::compared_neighbour> found(ctx_, scratch, k);
    const cpu::row_buffers<C> gradients(ctx_, scratch, cols);
    auto* const row_losses = scratch.take<double>(reduction_.rows);
    cpu::for_each_found<T>(
        ctx_, support_, targets, options_.exclude_ids, k, given,
        [&](index_t first, const matrix_view<const index_t>& slots) {
          cpu::for_each_row(ctx_, slots.rows(), (k + 1) * cols, {}, [&](index_t r, int worker) {
            const index_t i = first + r;
            if (indices.data != nullptr) std::copy_n(slots.row(r), k, indices.row(i));
            row_losses[i] = row(i, slots.row(r), found.of(worker), gradients.of(worker));
          });
        });
    if (!loss.empty()) cpu::write_loss(reduction_, row_losses, loss);
  }

 private:
  double row(index_t i, const index_t* slots, cpu::compared_neighbour* found, C* gradient) const {
    const index_t cols = prediction_.value.cols();
    const T* p = prediction_.value.row(i);
    const double inverse = inverse_norm(row_norm(p, cols), default_norm_eps);
    const index_t count =
        cpu::compare_neighbours<T>(p, inverse, support_.rows(), slots, options_.k, found);
    // Of no neighbour, as a target with NaN finds none, there is no mean: 0/0.
    const double share =
        count == 0 ? std::numeric_limits<double>::quiet_NaN() : 1.0 / static_cast<double>(count);
    double cosine = 0;
    for (index_t n = 0; n < count; ++n) cosine += found[n].similarity;
    if (prediction_.wants_gradient()) {
      const double weight = -2.0 * share * reduction_.gradient_weight(i);
      for (index_t j = 0; j < cols; ++j) {
        gradient[j] =
            static_cast<C>(weight * cpu::neighbour_sum<T>(support_.rows(), found, count, j));
      }
      cpu::unit_backward_row(p, cols, inverse, default_norm_eps, gradient);
      if (count == 0) std::fill_n(gradient, cols, static_cast<C>(share));
      cpu::write_gradient(prediction_, i, gradient);
    }
    return 2.0 - 2.0 * cosine * share;
  }

  cpu_context& ctx_;
  operand<T> prediction_;
  support_rows<T> support_;
  mean_shift_options<T> options_;
  row_reduction<C> reduction_;
};

}  // namespace detail

/// Mean shift (MSF; Koohpayegani et al., arXiv 2105.07269):
///     loss_i = 1/k Σ_{v ∈ NN_k(target_i)} (2 − 2·cos(prediction_i, v)),
/// NN_k the k nearest filled rows of a support queue, or rows of a matrix; see nearest for what
/// nearest means exactly. MSF enqueues the targets first, so that a target is among its neighbours.
///
/// prediction and targets N × D, loss 1 element or N (reduce::none). `indices`, if given, gets the
/// N × k slots for mean_shift_backward, nearest first. Where options.exclude_ids leave fewer than k
/// rows, the mean is over those, and further slots are −1. NaN or ∞ in a target, which finds
/// nothing then, or in a row that is read makes a row's loss and gradient NaN. Targets and support
/// are constants.
///
/// Errors: an empty queue, k outside 1 … the filled rows, exclude_ids that leave a target nothing,
/// shapes, overlaps. Scratch: 8 bytes a row, 1 MiB of slots, D + 3·k numbers a thread, and what
/// nearest takes.
template <class P, class T = std::remove_const_t<P>>
requires element<T>
void mean_shift(cpu_context& ctx, const matrix_view<P>& prediction,
                const std::type_identity_t<matrix_view<const T>>& targets,
                const std::type_identity_t<support_rows<T>>& support,
                std::type_identity_t<vector_view<compute_t<T>>> loss,
                const std::type_identity_t<mean_shift_options<T>>& options = {},
                const matrix_view<index_t>& indices = {}) {
  constexpr std::string_view op = "mean_shift";
  const operand<T> constant = stop_gradient(prediction);
  detail::mean_shift_call<T> call(ctx, op, constant, support, options);
  detail::mean_shift_search_arguments<T, memory_space::host>(op, constant, targets, support,
                                                             options, indices);
  check::loss_outputs(op, loss, call.outputs(), {}, 0);
  call.run(targets, {}, indices, loss);
}

/// The same loss as a number, for mean and sum.
template <class P, class T = std::remove_const_t<P>>
requires element<T> compute_t<T> mean_shift(
    cpu_context& ctx, const matrix_view<P>& prediction,
    const std::type_identity_t<matrix_view<const T>>& targets,
    const std::type_identity_t<support_rows<T>>& support,
    const std::type_identity_t<mean_shift_options<T>>& options = {}) {
  check::one_number("mean_shift", options.reduction);
  compute_t<T> loss{};
  mean_shift(ctx, prediction, targets, support, scalar(loss), options);
  return loss;
}

/// The gradient by the prediction, for a `cotangent` of one element or N (reduce::none), from the
/// slots that mean_shift (or nearest) found: the support is not searched again, and must be what it
/// was. A row with no slot but −1 gets NaN.
template <element T>
void mean_shift_backward(cpu_context& ctx, const operand<T>& prediction,
                         const std::type_identity_t<support_rows<T>>& support,
                         const std::type_identity_t<matrix_view<const index_t>>& indices,
                         std::type_identity_t<vector_view<const compute_t<T>>> cotangent,
                         const std::type_identity_t<mean_shift_options<T>>& options = {}) {
  constexpr std::string_view op = "mean_shift_backward";
  detail::mean_shift_call<T> call(ctx, op, prediction, support, options, cotangent);
  detail::mean_shift_found_arguments<T, memory_space::host>(op, prediction, support, options,
                                                            indices);
  check::has_cotangent(op, cotangent);
  if (prediction.wants_gradient()) call.run({}, indices, {}, {});
}

/// Loss and gradient after one search, for a cotangent of options.gradient_scale. The gradient by a
/// prediction with norm ≤ 1e-12 is zero.
template <element T>
void mean_shift_with_gradients(cpu_context& ctx, const operand<T>& prediction,
                               const std::type_identity_t<matrix_view<const T>>& targets,
                               const std::type_identity_t<support_rows<T>>& support,
                               std::type_identity_t<vector_view<compute_t<T>>> loss,
                               const std::type_identity_t<mean_shift_options<T>>& options = {}) {
  constexpr std::string_view op = "mean_shift_with_gradients";
  detail::mean_shift_call<T> call(ctx, op, prediction, support, options);
  detail::mean_shift_search_arguments<T, memory_space::host>(op, prediction, targets, support,
                                                             options, {});
  check::loss_outputs(op, loss, call.outputs(), {}, 0);
  call.run(targets, {}, {}, loss);
}

/// The same, with the loss as a number, for mean and sum.
template <element T>
compute_t<T> mean_shift_with_gradients(
    cpu_context& ctx, const operand<T>& prediction,
    const std::type_identity_t<matrix_view<const T>>& targets,
    const std::type_identity_t<support_rows<T>>& support,
    const std::type_identity_t<mean_shift_options<T>>& options = {}) {
  check::one_number("mean_shift_with_gradients", options.reduction);
  compute_t<T> loss{};
  mean_shift_with_gradients(ctx, prediction, targets, support, scalar(loss), options);
  return loss;
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
