// CPU implementation of vicreg: the VICReg loss of variance, invariance and covariance.
#pragma once

#include "feaug/header_begin.hpp"

#include <string_view>

#include "feaug/core/columns.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/columns.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/loss/cross_moments.hpp"
#include "feaug/cpu/loss/row_loss.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/row_reduction.hpp"
#include "feaug/loss/vicreg.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cpu {

/// One call of the loss; the constructor checks the arguments. Scratch: at most 8 MiB of C, tiles
/// of at most 0.8 MiB per thread, 32 bytes per feature. Limited by matrix products: one of
/// N × D × D per view, two with its gradient.
template <element T>
class vicreg_call {
 public:
  using C = compute_t<T>;

  vicreg_call(cpu_context& ctx, std::string_view op, const operand<T>& a, const operand<T>& b,
              const vicreg_options& options, const feaug::detail::loss_vectors<C>& vectors)
      : ctx_(ctx), scratch_(ctx.workspace), a_(a), b_(b), options_(options) {
    reduction_ = feaug::detail::vicreg_arguments(op, a, b, options, vectors);
  }

  [[nodiscard]] index_t outputs() const { return reduction_.outputs(); }

  /// Writes the loss, unless `loss` is empty, and the gradients that are wanted.
  void run(vector_view<C> loss) {
    const index_t features = reduction_.rows;
    if (!loss.empty()) {
      losses_ = scratch_.template take<double>(features);
      sum_columns(ctx_, a_.value.rows(), features,
                  feaug::detail::vicreg_invariance<T, memory_space::host>{
                      a_.value, b_.value, options_.invariance, losses_});
    }
    view(a_, b_.value);
    view(b_, a_.value);
    if (!loss.empty()) write_loss(reduction_, losses_, loss);
  }

 private:
  /// The variance and covariance terms of one view, and its whole gradient.
  void view(const operand<T>& x, const matrix_view<const T>& other) {
    if (losses_ == nullptr && !x.wants_gradient()) return;
    const index_t rows = x.value.rows();
    const index_t features = x.value.cols();
    workspace::scope scratch(ctx_.workspace);
    auto* mean = scratch.take<double>(features);
    auto* squares = scratch.take<double>(features);
    auto* variance_slope = scratch.take<double>(features);
    column_moments<T>(ctx_, {.x = x.value}, mean, squares);
    const scaled_columns<T> centred = {.x = x.value, .mean = mean};
    const feaug::detail::vicreg_measure measure = {.options = options_,
                                                   .rows = rows,
                                                   .features = features,
                                                   .squares = squares,
                                                   .variance_slope = variance_slope,
                                                   .losses = losses_};
    const feaug::detail::vicreg_gradient<T, memory_space::host> gradient = {
        .own = centred,
        .other = other,
        .options = options_,
        .variance_slope = variance_slope,
        .reduction = reduction_};
    cross_moments_pass<T>(ctx_,
                          {.x = centred,
                           .y = centred,
                           .scale = 1.0 / static_cast<double>(rows - 1),
                           .strip_elements = moment_strip_elements<T>},
                          measure, x, gradient);
  }

  cpu_context& ctx_;
  workspace::scope scratch_;
  operand<T> a_;
  operand<T> b_;
  vicreg_options options_;
  feaug::detail::row_reduction<C> reduction_;
  double* losses_ = nullptr;
};

}  // namespace cpu

template <element T>
struct detail::vicreg_call<cpu_context, T> : cpu::vicreg_call<T> {
  using cpu::vicreg_call<T>::vicreg_call;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
