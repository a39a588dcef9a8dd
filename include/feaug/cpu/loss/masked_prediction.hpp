// Masked prediction: what a mask took away is to be predicted, and nothing else counts.
#pragma once

#include <concepts>
#include <string_view>
#include <type_traits>

#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/augment/mask.hpp"
#include "feaug/cpu/core/compared_rows.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/parallel.hpp"
#include "feaug/cpu/core/put_gradient.hpp"
#include "feaug/cpu/core/rows.hpp"
#include "feaug/cpu/core/unit_rows.hpp"
#include "feaug/cpu/loss/row_loss.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/masked_prediction.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace detail {

template <element T, class P>
class masked_prediction_call {
 public:
  using C = compute_t<T>;

  masked_prediction_call(cpu_context& ctx, std::string_view op, const operand<T>& prediction,
                         const operand<T>& target, const P& policy, const random_key& key,
                         const masked_prediction_options<T>& options,
                         vector_view<const C> cotangent = {})
      : ctx_(ctx),
        prediction_(prediction),
        target_(target),
        policy_(policy),
        key_(key),
        options_(options) {
    reduction_ = masked_prediction_arguments<T, memory_space::host>(op, prediction, target, options,
                                                                    cotangent);
    mask_arguments(op, policy, key, prediction, target);
  }

  [[nodiscard]] index_t outputs() const { return reduction_.outputs(); }

  void run(vector_view<C> loss) {
    const index_t rows = reduction_.rows;
    const index_t cols = prediction_.value.cols();
    workspace::scope scratch(ctx_.workspace);
    auto* const row_losses = scratch.take<double>(rows);
    const cpu::row_buffers<float> keeps(ctx_, scratch, cols);
    const cpu::row_buffers<T> packed(ctx_, scratch, 2 * cols);
    const cpu::row_buffers<C> gradients(ctx_, scratch, 2 * cols);
    index_t counted = 0;
    if (options_.reduction == reduce::mean) {
      counted = count(keeps, scratch.take<index_t>(rows));
      reduction_.counted = &counted;
    }
    cpu::for_each_row(ctx_, rows, cols, {}, [&](index_t i, int worker) {
      float* const keep = keeps.of(worker);
      cpu::keep_row(ctx_, policy_, key_, i, cols, keep);
      row_losses[i] = options_.form == prediction_form::cosine
                          ? cosine_row(i, keep, packed.of(worker), gradients.of(worker))
                          : difference_row(i, keep, gradients.of(worker));
    });
    if (!loss.empty()) cpu::write_loss(reduction_, row_losses, loss);
  }

 private:
  /// What a mean is over, by a draw of its own: gradients are weighed as they are written.
  index_t count(const cpu::row_buffers<float>& keeps, index_t* masked) const {
    const index_t rows = reduction_.rows;
    const index_t cols = prediction_.value.cols();
    cpu::for_each_row(ctx_, rows, cols, {}, [&](index_t i, int worker) {
      float* const keep = keeps.of(worker);
      cpu::keep_row(ctx_, policy_, key_, i, cols, keep);
      masked[i] = 0;
      for (index_t j = 0; j < cols; ++j) masked[i] += keep[j] == 0 ? 1 : 0;
    });
    index_t total = 0;
    for (index_t i = 0; i < rows; ++i)
      total += options_.form == prediction_form::cosine ? (masked[i] > 0 ? 1 : 0) : masked[i];
    return total;
  }

  double difference_row(index_t i, const float* keep, C* gradient) const {
    const index_t cols = prediction_.value.cols();
    const T* const p = prediction_.value.row(i);
    const T* const t = target_.value.row(i);
    const double weight = reduction_.gradient_weight(i);
    double loss = 0;
    for (index_t j = 0; j < cols; ++j) {
      const bool masked = keep[j] == 0;
      const difference_loss at = loss_of_difference(
          options_.form, options_.beta,
          masked ? static_cast<double>(load(p[j])) - static_cast<double>(load(t[j])) : 0.0);
      if (masked) loss += at.loss;
      gradient[j] = masked ? static_cast<C>(weight * at.slope) : C{0};
    }
    if (prediction_.wants_gradient()) cpu::write_gradient(prediction_, i, gradient);
    cpu::put_gradient(target_, i, [&](index_t j) { return -gradient[j]; });
    return loss;
  }

  /// The masked features side by side are rows like any other.
  double cosine_row(index_t i, const float* keep, T* packed, C* gradient) const {
    const index_t cols = prediction_.value.cols();
    index_t masked = 0;
    for (index_t j = 0; j < cols; ++j) {
      if (keep[j] != 0) continue;
      packed[masked] = prediction_.value(i, j);
      packed[cols + masked] = target_.value(i, j);
      ++masked;
    }
    const cpu::compared_rows<T> pair(packed, packed + cols, masked);
    const double weight = -2.0 * reduction_.gradient_weight(i);
    const auto side_gradient = [&](const operand<T>& x, int side) {
      if (!x.wants_gradient()) return;
      C* const found = gradient + cols;
      pair.gradient(side, weight, found);
      index_t next = 0;
      for (index_t j = 0; j < cols; ++j) gradient[j] = keep[j] == 0 ? found[next++] : C{0};
      cpu::write_gradient(x, i, gradient);
    };
    side_gradient(prediction_, 0);
    side_gradient(target_, 1);
    return masked == 0 ? 0.0 : 2.0 - 2.0 * pair.cosine();
  }

  cpu_context& ctx_;
  operand<T> prediction_;
  operand<T> target_;
  P policy_;
  random_key key_;
  masked_prediction_options<T> options_;
  row_reduction<C> reduction_;
};

}  // namespace detail

/// loss_i = Σ ℓ(prediction_ij − target_ij) over the features j that the mask does not keep, ℓ the
/// smooth L1 loss or the square; or 2 − 2·cos of the masked features of both rows
/// (prediction_form). As in masked auto-encoders (He et al., arXiv 2111.06377) of features: mask
/// the input, predict, and ask only for what was hidden.
///
/// * prediction, target: N × D.
/// * policy, key: what `augment` was given: mask{…}, fixed_count_mask{…}, block_mask{…}, drawn
/// again and not stored; or drawn_mask(keep), keep N × D of 0 (masked) and 1, and any key. Its
/// rescale plays no part.
/// * loss: 1 element or N (reduce::none). The mean is over all masked features, for cosine over the
/// rows that have one; without any the loss is 0.
///
/// Gradients are 0 at features that are kept, and those are not read: NaN there stays where it is.
/// NaN or ∞ at a masked feature makes its row's loss NaN or ∞. Rows of masked features of norm ≤
/// 1e-12 have cosine 0 and gradient 0. Scratch: 8 bytes a row, 16 for the mean; a few rows a
/// thread.
template <class Q, class R, class P, class T = std::remove_const_t<Q>>
requires element<T> && std::same_as<T, std::remove_const_t<R>> &&
    mask_policy<P, T, memory_space::host>
void masked_prediction(cpu_context& ctx, const matrix_view<Q>& prediction,
                       const matrix_view<R>& target, const P& policy, const random_key& key,
                       std::type_identity_t<vector_view<compute_t<T>>> loss,
                       const std::type_identity_t<masked_prediction_options<T>>& options = {}) {
  constexpr std::string_view op = "masked_prediction";
  detail::masked_prediction_call<T, P> call(ctx, op, stop_gradient(prediction),
                                            stop_gradient(target), policy, key, options);
  check::loss_outputs(op, loss, call.outputs(), {}, 0);
  call.run(loss);
}

/// The same loss as a number, for mean and sum.
template <class Q, class R, class P, class T = std::remove_const_t<Q>>
requires element<T> && std::same_as<T, std::remove_const_t<R>> &&
    mask_policy<P, T, memory_space::host>
        compute_t<T> masked_prediction(
            cpu_context& ctx, const matrix_view<Q>& prediction, const matrix_view<R>& target,
            const P& policy, const random_key& key,
            const std::type_identity_t<masked_prediction_options<T>>& options = {}) {
  check::one_number("masked_prediction", options.reduction);
  compute_t<T> loss{};
  masked_prediction(ctx, prediction, target, policy, key, scalar(loss), options);
  return loss;
}

/// The gradients for a `cotangent` of one element or N (reduce::none). Needs no statistics.
template <element T, class P>
requires mask_policy<P, T, memory_space::host>
void masked_prediction_backward(
    cpu_context& ctx, const operand<T>& prediction, const operand<T>& target, const P& policy,
    const random_key& key, std::type_identity_t<vector_view<const compute_t<T>>> cotangent,
    const std::type_identity_t<masked_prediction_options<T>>& options = {}) {
  constexpr std::string_view op = "masked_prediction_backward";
  detail::masked_prediction_call<T, P> call(ctx, op, prediction, target, policy, key, options,
                                            cotangent);
  check::has_cotangent(op, cotangent);
  if (prediction.wants_gradient() || target.wants_gradient()) call.run({});
}

/// Loss and gradients in one pass over memory, for a cotangent of options.gradient_scale.
template <element T, class P>
requires mask_policy<P, T, memory_space::host>
void masked_prediction_with_gradients(
    cpu_context& ctx, const operand<T>& prediction, const operand<T>& target, const P& policy,
    const random_key& key, std::type_identity_t<vector_view<compute_t<T>>> loss,
    const std::type_identity_t<masked_prediction_options<T>>& options = {}) {
  constexpr std::string_view op = "masked_prediction_with_gradients";
  detail::masked_prediction_call<T, P> call(ctx, op, prediction, target, policy, key, options);
  check::loss_outputs(op, loss, call.outputs(), {}, 0);
  call.run(loss);
}

/// The same, with the loss as a number, for mean and sum.
template <element T, class P>
requires mask_policy<P, T, memory_space::host> compute_t<T> masked_prediction_with_gradients(
    cpu_context& ctx, const operand<T>& prediction, const operand<T>& target, const P& policy,
    const random_key& key, const std::type_identity_t<masked_prediction_options<T>>& options = {}) {
  check::one_number("masked_prediction_with_gradients", options.reduction);
  compute_t<T> loss{};
  masked_prediction_with_gradients(ctx, prediction, target, policy, key, scalar(loss), options);
  return loss;
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
