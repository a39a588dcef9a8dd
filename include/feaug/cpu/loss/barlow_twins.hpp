// CPU implementation of barlow_twins: pushes the cross-correlation matrix of the two views'
// features to the identity.
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
#include "feaug/loss/barlow_twins.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/row_reduction.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cpu {

/// One call of the loss; the constructor checks the arguments. Scratch: at most 8 MiB of C, tiles
/// of at most 0.8 MiB per thread, 56 bytes per feature. Limited by matrix products: two of
/// N × D × D per view with a gradient, one for the loss alone.
template <element T>
class barlow_twins_call {
 public:
  using C = compute_t<T>;

  barlow_twins_call(cpu_context& ctx, std::string_view op, const operand<T>& a, const operand<T>& b,
                    const barlow_twins_options& options,
                    const feaug::detail::loss_vectors<C>& vectors)
      : ctx_(ctx), scratch_(ctx.workspace), a_(a), b_(b), options_(options) {
    reduction_ = feaug::detail::barlow_twins_arguments(op, a, b, options, vectors);
  }

  [[nodiscard]] index_t outputs() const { return reduction_.outputs(); }

  /// Writes the loss, unless `loss` is empty, and the gradients that are wanted.
  void run(vector_view<C> loss) {
    if (loss.empty() && !a_.wants_gradient() && !b_.wants_gradient()) return;
    const index_t features = reduction_.rows;
    measure_ = {.lambda = options_.lambda,
                .diagonal = scratch_.template take<double>(features),
                .off = scratch_.template take<double>(features),
                .losses = loss.empty() ? nullptr : scratch_.template take<double>(features)};
    const double* const losses = measure_.losses;
    const scaled_columns<T> a = standardised(a_.value);
    const scaled_columns<T> b = standardised(b_.value);
    if (a_.wants_gradient() || (losses != nullptr && !b_.wants_gradient())) {
      pass(a_, a, b);
      measure_.losses = nullptr;  // one pass gives the loss
    }
    if (b_.wants_gradient()) pass(b_, b, a);
    if (!loss.empty()) write_loss(reduction_, losses, loss);
  }

 private:
  scaled_columns<T> standardised(const matrix_view<const T>& x) {
    auto* mean = scratch_.template take<double>(x.cols());
    auto* factor = scratch_.template take<double>(x.cols());
    column_moments<T>(ctx_, {.x = x}, mean, factor);
    for (index_t j = 0; j < x.cols(); ++j)
      factor[j] = feaug::detail::inverse_deviation(factor[j], x.rows(), options_.eps);
    return {.x = x, .mean = mean, .factor = factor};
  }

  void pass(const operand<T>& x, const scaled_columns<T>& own, const scaled_columns<T>& other) {
    const feaug::detail::barlow_twins_gradient<T, memory_space::host> gradient = {
        .own = own,
        .other = other,
        .lambda = options_.lambda,
        .diagonal = measure_.diagonal,
        .off = measure_.off,
        .reduction = reduction_};
    cross_moments_pass<T>(ctx_,
                          {.x = own,
                           .y = other,
                           .scale = 1.0 / static_cast<double>(own.x.rows()),
                           .strip_elements = moment_strip_elements<T>},
                          measure_, x, gradient);
  }

  cpu_context& ctx_;
  workspace::scope scratch_;
  operand<T> a_;
  operand<T> b_;
  barlow_twins_options options_;
  feaug::detail::row_reduction<C> reduction_;
  feaug::detail::barlow_twins_measure measure_ = {};
};

}  // namespace cpu

template <element T>
struct detail::barlow_twins_call<cpu_context, T> : cpu::barlow_twins_call<T> {
  using cpu::barlow_twins_call<T>::barlow_twins_call;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
