// CPU implementation of kl_to_standard_normal: KL divergence of learned Gaussians from the standard
// normal distribution.
#pragma once

#include "feaug/header_begin.hpp"

#include <string_view>

#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/put_gradient.hpp"
#include "feaug/cpu/core/rows.hpp"
#include "feaug/cpu/loss/row_loss.hpp"
#include "feaug/loss/kl_to_standard_normal.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/row_reduction.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cpu {

/// One call of the loss; the constructor checks the arguments. Scratch: 8 bytes per row, and one
/// row per thread.
template <element T>
class kl_to_standard_normal_call {
 public:
  using C = compute_t<T>;

  kl_to_standard_normal_call(cpu_context& ctx, std::string_view op, const operand<T>& mean,
                             const operand<T>& log_variance,
                             const kl_to_standard_normal_options<T>& options,
                             const feaug::detail::loss_vectors<C>& vectors)
      : ctx_(ctx), mean_(mean), log_variance_(log_variance) {
    reduction_ =
        feaug::detail::kl_to_standard_normal_arguments(op, mean, log_variance, options, vectors);
  }

  [[nodiscard]] index_t outputs() const { return reduction_.outputs(); }

  /// One pass over both matrices: writes the loss, unless `loss` is empty, and the gradients that
  /// are wanted. Per element one expm1 in double; each matrix is read from memory once, each
  /// gradient written once.
  void run(vector_view<C> loss) {
    if (loss.empty() && !mean_.wants_gradient() && !log_variance_.wants_gradient()) return;
    const index_t rows = reduction_.rows;
    const index_t cols = mean_.value.cols();
    workspace::scope scratch(ctx_.workspace);
    auto* row_losses = scratch.take<double>(rows);
    const row_buffers<C> slopes(ctx_, scratch, cols);
    for_each_row(ctx_, rows, cols, {}, [&](index_t i, int worker) {
      const double weight = reduction_.gradient_weight(i);
      C* const by_log_variance = slopes.of(worker);
      double sum = 0;
      for (index_t j = 0; j < cols; ++j) {
        const feaug::detail::normal_divergence at(
            static_cast<double>(load(mean_.value(i, j))),
            static_cast<double>(load(log_variance_.value(i, j))));
        sum += at.value;
        by_log_variance[j] = static_cast<C>(weight * at.by_log_variance);
      }
      row_losses[i] = sum;
      put_gradient(mean_, i, [&](index_t j) {
        return static_cast<C>(weight * static_cast<double>(load(mean_.value(i, j))));
      });
      put_gradient(log_variance_, i, [&](index_t j) { return by_log_variance[j]; });
    });
    if (!loss.empty()) write_loss(reduction_, row_losses, loss);
  }

 private:
  cpu_context& ctx_;
  operand<T> mean_;
  operand<T> log_variance_;
  feaug::detail::row_reduction<C> reduction_;
};

}  // namespace cpu

template <element T>
struct detail::kl_to_standard_normal_call<cpu_context, T> : cpu::kl_to_standard_normal_call<T> {
  using cpu::kl_to_standard_normal_call<T>::kl_to_standard_normal_call;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
