// CPU implementation of masked_prediction: a loss between prediction and target over the masked
// features only.
#pragma once

#include "feaug/header_begin.hpp"

#include <string_view>

#include "feaug/core/element.hpp"
#include "feaug/core/finite.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/reduce.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/augment/mask.hpp"
#include "feaug/cpu/core/compared_rows.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/l2_norm.hpp"
#include "feaug/cpu/core/put_gradient.hpp"
#include "feaug/cpu/core/rows.hpp"
#include "feaug/cpu/loss/row_loss.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/masked_prediction.hpp"
#include "feaug/loss/row_reduction.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cpu {

/// One call of the loss; the constructor checks the arguments. One pass over memory gives the loss
/// and the gradients. Scratch: 8 bytes per row, 16 for the mean; a few rows per thread.
template <element T, class P>
class masked_prediction_call {
 public:
  using C = compute_t<T>;

  masked_prediction_call(cpu_context& ctx, std::string_view op, const operand<T>& prediction,
                         const operand<T>& target, const P& policy, const random_key& key,
                         const masked_prediction_options<T>& options,
                         const feaug::detail::loss_vectors<C>& vectors)
      : ctx_(ctx),
        prediction_(prediction),
        target_(target),
        policy_(policy),
        key_(key),
        options_(options) {
    reduction_ = feaug::detail::masked_prediction_arguments(op, prediction, target, policy, key,
                                                            options, vectors);
  }

  [[nodiscard]] index_t outputs() const { return reduction_.outputs(); }

  void run(vector_view<C> loss) {
    if (loss.empty() && !prediction_.wants_gradient() && !target_.wants_gradient()) return;
    const index_t rows = reduction_.rows;
    const index_t cols = prediction_.value.cols();
    workspace::scope scratch(ctx_.workspace);
    auto* const row_losses = scratch.take<double>(rows);
    const mask_rows<P> keeps(ctx_, scratch, policy_, key_, cols);
    const row_buffers<T> packed(ctx_, scratch, 2 * cols);
    const row_buffers<C> gradients(ctx_, scratch, 2 * cols);
    index_t counted = 0;
    if (options_.reduction == reduce::mean) {
      counted = count(keeps, scratch.take<index_t>(rows));
      reduction_.counted = &counted;
    }
    for_each_row(ctx_, rows, cols, {}, [&](index_t i, int worker) {
      const float* const keep = keeps.draw(i, worker);
      row_losses[i] = options_.form == prediction_form::cosine
                          ? cosine_row(i, keep, packed.of(worker), gradients.of(worker))
                          : difference_row(i, keep, gradients.of(worker));
    });
    if (!loss.empty()) write_loss(reduction_, row_losses, loss);
  }

 private:
  /// The divisor of a mean. It needs its own pass over the mask, because gradients are scaled when
  /// they are written.
  index_t count(const mask_rows<P>& keeps, index_t* masked) const {
    const index_t rows = reduction_.rows;
    const index_t cols = prediction_.value.cols();
    for_each_row(ctx_, rows, cols, {}, [&](index_t i, int worker) {
      const float* const keep = keeps.draw(i, worker);
      masked[i] = 0;
      for (index_t j = 0; j < cols; ++j) masked[i] += feaug::detail::is_equal(keep[j], 0) ? 1 : 0;
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
      const bool masked = feaug::detail::is_equal(keep[j], 0);
      const feaug::detail::difference_loss at = feaug::detail::loss_of_difference(
          options_.form, options_.beta,
          masked ? static_cast<double>(load(p[j])) - static_cast<double>(load(t[j])) : 0.0);
      if (masked) loss += at.loss;
      gradient[j] = masked ? static_cast<C>(weight * at.slope) : C{0};
    }
    if (prediction_.wants_gradient())
      write_gradient(cpu::usable(ctx_.instructions), prediction_, i, gradient);
    put_gradient(target_, i, [&](index_t j) { return -gradient[j]; });
    return loss;
  }

  /// Packs the masked features contiguously and compares them as ordinary rows.
  double cosine_row(index_t i, const float* keep, T* packed, C* gradient) const {
    const index_t cols = prediction_.value.cols();
    index_t masked = 0;
    for (index_t j = 0; j < cols; ++j) {
      if (!feaug::detail::is_equal(keep[j], 0)) continue;
      packed[masked] = prediction_.value(i, j);
      packed[cols + masked] = target_.value(i, j);
      ++masked;
    }
    const compared_rows<T> pair(cpu::usable(ctx_.instructions), packed, packed + cols, masked);
    const double weight = -2.0 * reduction_.gradient_weight(i);
    const auto side_gradient = [&](const operand<T>& x, int side) {
      if (!x.wants_gradient()) return;
      C* const found = gradient + cols;
      pair.gradient(side, weight, found);
      index_t next = 0;
      for (index_t j = 0; j < cols; ++j)
        gradient[j] = feaug::detail::is_equal(keep[j], 0) ? found[next++] : C{0};
      write_gradient(cpu::usable(ctx_.instructions), x, i, gradient);
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
  feaug::detail::row_reduction<C> reduction_;
};

}  // namespace cpu

template <element T, class P>
struct detail::masked_prediction_call<cpu_context, T, P> : cpu::masked_prediction_call<T, P> {
  using cpu::masked_prediction_call<T, P>::masked_prediction_call;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
