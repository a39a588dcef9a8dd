// CPU implementation of negative_cosine: negative cosine similarity between a prediction and its
// targets (BYOL, SimSiam).
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <cstddef>
#include <span>
#include <string_view>

#include "feaug/core/element.hpp"
#include "feaug/core/finite.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/row_arithmetic.hpp"
#include "feaug/cpu/core/row_products.hpp"
#include "feaug/cpu/core/rows.hpp"
#include "feaug/cpu/loss/row_loss.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/negative_cosine.hpp"
#include "feaug/loss/row_reduction.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cpu {

/// The inverse norm of a row with Σ x² = square.
template <element T>
double inverse_of(double square, const T* row, index_t cols) {
  return inverse_norm(row_norm_of(square, row, cols), default_norm_eps);
}

/// One call of the loss; the constructor checks the arguments. Scratch: 8 bytes per row, 32 per
/// target and thread.
template <element T>
class negative_cosine_call {
 public:
  using C = compute_t<T>;

  /// `targets` must outlive the call.
  negative_cosine_call(cpu_context& ctx, std::string_view op, const operand<T>& prediction,
                       std::span<const operand<T>> targets,
                       const negative_cosine_options<T>& options,
                       const feaug::detail::loss_vectors<C>& vectors)
      : ctx_(ctx), prediction_(prediction), targets_(targets), form_(options.form) {
    reduction_ = feaug::detail::negative_cosine_arguments<T, memory_space::host>(
        op, prediction, targets, options, vectors);
  }

  [[nodiscard]] index_t outputs() const { return reduction_.outputs(); }

  /// One pass over all matrices: writes the loss, unless `loss` is empty, and the gradients that
  /// are wanted. Limited by memory bandwidth: each matrix is read once, each gradient written once.
  void run(vector_view<C> loss) {
    if (loss.empty() && !prediction_.wants_gradient() && !feaug::detail::wants_gradient(targets_))
      return;
    const index_t rows = reduction_.rows;
    const auto targets = static_cast<index_t>(targets_.size());
    workspace::scope scratch(ctx_.workspace);
    auto* row_losses = scratch.take<double>(rows);
    const row_buffers<row_pointer<T>> others(ctx_, scratch, targets);
    const row_buffers<row_products> products(ctx_, scratch, targets);
    const row_buffers<double> numbers(ctx_, scratch, 3 * targets);
    // The block size depends on the data read and written per row.
    const index_t cols = prediction_.value.cols() * (1 + targets);
    for_each_row(ctx_, rows, cols, {}, [&](index_t i, int worker) {
      row_losses[i] = row(i, others.of(worker), products.of(worker), numbers.of(worker));
    });
    if (!loss.empty()) write_loss(reduction_, row_losses, loss);
  }

 private:
  /// Row i's loss and gradients. For unit rows p and t with cosine c, ∂c/∂x_p = (t − c·p) / ‖x_p‖.
  /// `others` and `products` (one per target) and `numbers` (three per target) are scratch.
  double row(index_t i, row_pointer<T>* others, row_products* products, double* numbers) const {
    const index_t cols = prediction_.value.cols();
    const auto targets = static_cast<index_t>(targets_.size());
    const double slope = form_ == cosine_form::byol ? -2.0 : -1.0;
    const double weight = slope * reduction_.gradient_weight(i);
    const T* const x = prediction_.value.row(i);
    for (index_t k = 0; k < targets; ++k) others[k].data = target(k).value.row(i);
    const double square = multiply_rows(ctx_, x, others, targets, cols, products);
    const double inverse = inverse_of(square, x, cols);
    double* const cosines = numbers;
    double* const inverses = numbers + targets;
    double* const factors = numbers + 2 * targets;
    double loss = 0;
    double cosine_sum = 0;
    for (index_t k = 0; k < targets; ++k) {
      const row_products& with = products[k];
      inverses[k] = inverse_of(with.square, others[k].data, cols);
      // A product may leave double's range where that of the unit rows does not.
      cosines[k] = feaug::detail::is_finite(with.product)
                       ? with.product * inverse * inverses[k]
                       : scaled_dot(usable(ctx_.instructions), x, inverse, others[k].data,
                                    inverses[k], cols);
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
    const row_pointer<T> prediction = {x};
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

  /// Writes the gradient; 0 if the row has no direction. rows.scale is the row's inverse norm.
  void put(const operand<T>& x, index_t i, const weighted_rows<T>& rows) const {
    if (!x.wants_gradient()) return;
    const bool adds = x.mode == gradient_mode::accumulate;
    T* const to = x.gradient.row(i);
    if (!has_no_direction(rows.scale, default_norm_eps)) {
      write_weighted(ctx_, rows, x.gradient.cols(), adds, to);
    } else if (!adds) {
      std::fill_n(to, x.gradient.cols(), store<T>(C{0}));
    }
  }

  cpu_context& ctx_;
  operand<T> prediction_;
  std::span<const operand<T>> targets_;
  cosine_form form_;
  feaug::detail::row_reduction<C> reduction_;
};

}  // namespace cpu

template <element T>
struct detail::negative_cosine_call<cpu_context, T> : cpu::negative_cosine_call<T> {
  using cpu::negative_cosine_call<T>::negative_cosine_call;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
