// Negative cosine similarity: the prediction is to point where the target points.
#pragma once

#include <algorithm>
#include <string_view>
#include <type_traits>

#include "feaug/core/context.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/reduce.hpp"
#include "feaug/cpu/compared_rows.hpp"
#include "feaug/cpu/parallel.hpp"
#include "feaug/cpu/row_loss.hpp"
#include "feaug/cpu/unit_rows.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/negative_cosine_options.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace detail {

template <element T>
class negative_cosine_call {
 public:
  using C = compute_t<T>;

  negative_cosine_call(cpu_context& ctx, std::string_view op, const operand<T>& prediction,
                       const operand<T>& target, const negative_cosine_options<T>& options,
                       vector_view<const C> cotangent = {})
      : ctx_(ctx), prediction_(prediction), target_(target), form_(options.form) {
    reduction_ = negative_cosine_arguments(op, prediction, target, options, cotangent);
  }

  [[nodiscard]] index_t outputs() const { return reduction_.outputs(); }

  /// One pass over both matrices: row losses, and the gradients that are wanted.
  void run(vector_view<C> loss) {
    const index_t rows = reduction_.rows;
    const index_t cols = prediction_.value.cols();
    workspace::scope scratch(ctx_.workspace);
    auto* row_losses = scratch.take<double>(rows);
    const int workers = ctx_.thread_count();
    auto* gradients = scratch.take<C>(workers * cols);
    cpu::for_each_row_block(ctx_, rows, cols, [&](index_t begin, index_t count, int worker) {
      for (index_t i = begin; i < begin + count; ++i)
        row_losses[i] = row(i, gradients + worker * cols);
    });
    if (!loss.empty()) cpu::write_loss(reduction_, row_losses, loss);
  }

 private:
  double row(index_t i, C* gradient) const {
    const cpu::compared_rows<T> pair(prediction_.value.row(i), target_.value.row(i),
                                     prediction_.value.cols());
    const double slope = form_ == cosine_form::byol ? -2.0 : -1.0;
    const double weight = slope * reduction_.gradient_weight(i);
    const auto side_gradient = [&](const operand<T>& x, int side) {
      if (!x.wants_gradient()) return;
      pair.gradient(side, weight, gradient);
      cpu::write_gradient(x, i, gradient);
    };
    side_gradient(prediction_, 0);
    side_gradient(target_, 1);
    return form_ == cosine_form::byol ? 2.0 - 2.0 * pair.cosine() : -pair.cosine();
  }

  cpu_context& ctx_;
  operand<T> prediction_;
  operand<T> target_;
  cosine_form form_;
  row_reduction<C> reduction_;
};

}  // namespace detail

/// loss_i = 2 − 2·cos(prediction_i, target_i), or −cos.
///
/// prediction and target N × D, loss 1 element or N (reduce::none). A row of norm ≤ 1e-12 has
/// cosine 0 (up to its size / 1e-12) and gradient 0. NaN or ∞ in a row makes its loss NaN.
template <class P, class Q, class T = std::remove_const_t<P>>
requires element<T> && std::same_as<T, std::remove_const_t<Q>>
void negative_cosine(cpu_context& ctx, const matrix_view<P>& prediction,
                     const matrix_view<Q>& target,
                     std::type_identity_t<vector_view<compute_t<T>>> loss,
                     const std::type_identity_t<negative_cosine_options<T>>& options = {}) {
  detail::negative_cosine_call<T> call(ctx, "negative_cosine", stop_gradient(prediction),
                                       stop_gradient(target), options);
  check::loss_outputs("negative_cosine", loss, call.outputs(), {}, 0);
  call.run(loss);
}

/// The same loss as a number, for mean and sum.
template <class P, class Q, class T = std::remove_const_t<P>>
requires element<T> && std::same_as<T, std::remove_const_t<Q>> compute_t<T> negative_cosine(
    cpu_context& ctx, const matrix_view<P>& prediction, const matrix_view<Q>& target,
    const std::type_identity_t<negative_cosine_options<T>>& options = {}) {
  check::one_number("negative_cosine", options.reduction);
  compute_t<T> loss{};
  negative_cosine(ctx, prediction, target, scalar(loss), options);
  return loss;
}

/// The gradients for a `cotangent` of one element or N (reduce::none). Needs no statistics: a row's
/// cosine is cheaper to compute again than to keep.
template <element T>
void negative_cosine_backward(
    cpu_context& ctx, const operand<T>& prediction, const operand<T>& target,
    std::type_identity_t<vector_view<const compute_t<T>>> cotangent,
    const std::type_identity_t<negative_cosine_options<T>>& options = {}) {
  detail::negative_cosine_call<T> call(ctx, "negative_cosine_backward", prediction, target, options,
                                       cotangent);
  check::has_cotangent("negative_cosine_backward", cotangent);
  call.run({});
}

/// Loss and gradients in one pass over memory, for a cotangent of options.gradient_scale.
template <element T>
void negative_cosine_with_gradients(
    cpu_context& ctx, const operand<T>& prediction, const operand<T>& target,
    std::type_identity_t<vector_view<compute_t<T>>> loss,
    const std::type_identity_t<negative_cosine_options<T>>& options = {}) {
  detail::negative_cosine_call<T> call(ctx, "negative_cosine_with_gradients", prediction, target,
                                       options);
  check::loss_outputs("negative_cosine_with_gradients", loss, call.outputs(), {}, 0);
  call.run(loss);
}

/// The same, with the loss as a number, for mean and sum.
template <element T>
compute_t<T> negative_cosine_with_gradients(
    cpu_context& ctx, const operand<T>& prediction, const operand<T>& target,
    const std::type_identity_t<negative_cosine_options<T>>& options = {}) {
  check::one_number("negative_cosine_with_gradients", options.reduction);
  compute_t<T> loss{};
  negative_cosine_with_gradients(ctx, prediction, target, scalar(loss), options);
  return loss;
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
