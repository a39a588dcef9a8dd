// Negative cosine similarity: the prediction is to point where the target points.
#pragma once

#include <algorithm>
#include <span>
#include <string_view>
#include <type_traits>

#include "feaug/core/error.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/reduce.hpp"
#include "feaug/core/row_norm.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/row_kernels.hpp"
#include "feaug/cpu/core/rows.hpp"
#include "feaug/cpu/loss/row_loss.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/negative_cosine.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cpu {

/// The inverse norm of a row with Σ x² = square.
template <element T>
double inverse_of(double square, const T* row, index_t cols) {
  return inverse_norm(row_norm_of(square, row, cols), default_norm_eps);
}

}  // namespace cpu

namespace detail {

template <element T>
class negative_cosine_call {
 public:
  using C = compute_t<T>;

  /// `targets` outlive the call.
  negative_cosine_call(cpu_context& ctx, std::string_view op, const operand<T>& prediction,
                       std::span<const operand<T>> targets,
                       const negative_cosine_options<T>& options,
                       vector_view<const C> cotangent = {})
      : ctx_(ctx), prediction_(prediction), targets_(targets), form_(options.form) {
    reduction_ = negative_cosine_arguments<T, memory_space::host>(op, prediction, targets, options,
                                                                  cotangent);
  }

  [[nodiscard]] index_t outputs() const { return reduction_.outputs(); }

  /// One pass over all matrices: row losses, and the gradients that are wanted.
  void run(vector_view<C> loss) {
    const index_t rows = reduction_.rows;
    const auto targets = static_cast<index_t>(targets_.size());
    workspace::scope scratch(ctx_.workspace);
    auto* row_losses = scratch.take<double>(rows);
    const cpu::row_buffers<cpu::row_pointer<T>> others(ctx_, scratch, targets);
    const cpu::row_buffers<cpu::row_products> products(ctx_, scratch, targets);
    const cpu::row_buffers<double> numbers(ctx_, scratch, 3 * targets);
    // What is read and written for a row decides how many make a block.
    const index_t cols = prediction_.value.cols() * (1 + targets);
    cpu::for_each_row(ctx_, rows, cols, {}, [&](index_t i, int worker) {
      row_losses[i] = row(i, others.of(worker), products.of(worker), numbers.of(worker));
    });
    if (!loss.empty()) cpu::write_loss(reduction_, row_losses, loss);
  }

 private:
  /// For unit rows p and t of cosine c, ∂c/∂x_p = (t − c·p) / ‖x_p‖. `others` and
  /// `products`, one a target, and `numbers`, three a target, are scratch.
  double row(index_t i, cpu::row_pointer<T>* others, cpu::row_products* products,
             double* numbers) const {
    const index_t cols = prediction_.value.cols();
    const auto targets = static_cast<index_t>(targets_.size());
    const double slope = form_ == cosine_form::byol ? -2.0 : -1.0;
    const double weight = slope * reduction_.gradient_weight(i);
    const T* const x = prediction_.value.row(i);
    for (index_t k = 0; k < targets; ++k) others[k].data = target(k).value.row(i);
    const double square = cpu::multiply_rows(ctx_, x, others, targets, cols, products);
    const double inverse = cpu::inverse_of(square, x, cols);
    double* const cosines = numbers;
    double* const inverses = numbers + targets;
    double* const factors = numbers + 2 * targets;
    double loss = 0;
    double cosine_sum = 0;
    for (index_t k = 0; k < targets; ++k) {
      const cpu::row_products& with = products[k];
      inverses[k] = cpu::inverse_of(with.square, others[k].data, cols);
      cosines[k] = is_finite(with.product)
                       ? with.product * inverse * inverses[k]
                       : cosine_of_units(x, inverse, others[k].data, inverses[k], cols);
      factors[k] = weight * inverses[k];
      cosine_sum += cosines[k];
      loss += form_ == cosine_form::byol ? 2.0 - 2.0 * cosines[k] : -cosines[k];
    }
    put(prediction_, i,
        {.x = x,
         .own = -weight * cosine_sum * inverse,
         .others = others,
         .factors = factors,
         .count = targets,
         .scale = inverse});
    const double factor = weight * inverse;
    const cpu::row_pointer<T> prediction = {x};
    for (index_t k = 0; k < targets; ++k) {
      put(target(k), i,
          {.x = others[k].data,
           .own = -weight * cosines[k] * inverses[k],
           .others = &prediction,
           .factors = &factor,
           .count = 1,
           .scale = inverses[k]});
    }
    return loss;
  }

  [[nodiscard]] const operand<T>& target(index_t k) const {
    return targets_[static_cast<std::size_t>(k)];
  }

  /// Of rows whose product leaves double's range, or is not finite.
  static double cosine_of_units(const T* x, double inverse_x, const T* y, double inverse_y,
                                index_t cols) {
    double cosine = 0;
    for (index_t j = 0; j < cols; ++j) {
      cosine += (static_cast<double>(load(x[j])) * inverse_x) *
                (static_cast<double>(load(y[j])) * inverse_y);
    }
    return cosine;
  }

  /// Zero where the row, whose inverse norm is rows.scale, has no direction.
  void put(const operand<T>& x, index_t i, const cpu::weighted_rows<T>& rows) const {
    if (!x.wants_gradient()) return;
    const bool adds = x.mode == gradient_mode::accumulate;
    T* const to = x.gradient.row(i);
    if (rows.scale < 1.0 / default_norm_eps || !is_finite(rows.scale)) {
      cpu::write_weighted(ctx_, rows, x.gradient.cols(), adds, to);
    } else if (!adds) {
      std::fill_n(to, x.gradient.cols(), store<T>(C{0}));
    }
  }

  cpu_context& ctx_;
  operand<T> prediction_;
  std::span<const operand<T>> targets_;
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
  const operand<T> stopped = stop_gradient(target);
  detail::negative_cosine_call<T> call(ctx, "negative_cosine", stop_gradient(prediction),
                                       {&stopped, 1}, options);
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

/// Several targets for one prediction, in one pass over memory: the sum of the losses that a call
/// for each would give, and the gradients of that sum, each rounded once where it is stored. With
/// every side stopped, the loss alone.
///
/// `targets` has at least one, of prediction's shape; where two of them are the same memory neither
/// has a gradient there. Scratch: 8 bytes a row, 32 a target and thread.
template <element T>
void negative_cosine_with_gradients(
    cpu_context& ctx, const operand<T>& prediction,
    std::type_identity_t<std::span<const operand<T>>> targets,
    std::type_identity_t<vector_view<compute_t<T>>> loss,
    const std::type_identity_t<negative_cosine_options<T>>& options = {}) {
  detail::negative_cosine_call<T> call(ctx, "negative_cosine_with_gradients", prediction, targets,
                                       options);
  check::loss_outputs("negative_cosine_with_gradients", loss, call.outputs(), {}, 0);
  call.run(loss);
}

/// The gradients of that sum for a `cotangent` of one element or N (reduce::none).
template <element T>
void negative_cosine_backward(
    cpu_context& ctx, const operand<T>& prediction,
    std::type_identity_t<std::span<const operand<T>>> targets,
    std::type_identity_t<vector_view<const compute_t<T>>> cotangent,
    const std::type_identity_t<negative_cosine_options<T>>& options = {}) {
  detail::negative_cosine_call<T> call(ctx, "negative_cosine_backward", prediction, targets,
                                       options, cotangent);
  check::has_cotangent("negative_cosine_backward", cotangent);
  call.run({});
}

/// The gradients for a `cotangent` of one element or N (reduce::none). Needs no statistics: a row's
/// cosine is cheaper to compute again than to keep.
template <element T>
void negative_cosine_backward(
    cpu_context& ctx, const operand<T>& prediction, const operand<T>& target,
    std::type_identity_t<vector_view<const compute_t<T>>> cotangent,
    const std::type_identity_t<negative_cosine_options<T>>& options = {}) {
  negative_cosine_backward(ctx, prediction, std::span<const operand<T>>(&target, 1), cotangent,
                           options);
}

/// Loss and gradients in one pass over memory, for a cotangent of options.gradient_scale.
template <element T>
void negative_cosine_with_gradients(
    cpu_context& ctx, const operand<T>& prediction, const operand<T>& target,
    std::type_identity_t<vector_view<compute_t<T>>> loss,
    const std::type_identity_t<negative_cosine_options<T>>& options = {}) {
  negative_cosine_with_gradients(ctx, prediction, std::span<const operand<T>>(&target, 1), loss,
                                 options);
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
