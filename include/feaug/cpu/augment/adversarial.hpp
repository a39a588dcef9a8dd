// Adversarial steps on the CPU.
#pragma once

#include <cmath>
#include <string_view>
#include <type_traits>

#include "feaug/augment/adversarial.hpp"
#include "feaug/augment/backward_views.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/row_norm.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/augment/elementwise.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/put_gradient.hpp"
#include "feaug/cpu/core/rows.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// One step uphill: with d = current − original + step_size · direction(gradient),
///
///   out = original + d · min(1, radius/‖d‖)           l2,   direction(g) = g/‖g‖
///   out = original + clamp(d, −radius, radius)        linf, direction(g) = sign(g)
///
/// and then, with `renormalize`, its rows divided by their norms. original, current, gradient and
/// out are N × D; gradient is the loss's by current. From the original itself (current = original)
/// it is FGSM; several steps are a loop with a new gradient each (adversarial_steps). A row whose
/// gradient is zero does not move (but is put into the ball); NaN or ∞ in a gradient makes what
/// reads it NaN (by l2 the whole row). out may be any of the three inputs exactly; any other
/// overlap is an error. Computed in double, rounded once. Of doubles, gradients below 1e-154 count
/// as zero.
///
/// Throws argument_error, before anything is written, for shapes, overlaps, and a step_size or
/// radius that is negative or not finite. Scratch: none.
template <element T>
void adversarial_step(cpu_context& ctx, std::type_identity_t<matrix_view<const T>> original,
                      std::type_identity_t<matrix_view<const T>> current,
                      std::type_identity_t<matrix_view<const T>> gradient,
                      const adversarial_options& options, matrix_view<T> out) {
  check::adversarial_step_arguments<T>(original, current, gradient, options, out);
  const index_t cols = original.cols();
  cpu::for_each_row(ctx, original.rows(), cols, {}, [&](index_t i, int) {
    const T* from = original.row(i);
    const detail::adversarial_row row(options, row_norm(gradient.row(i), cols),
                                      row_norm(from, cols));
    const auto offset = [&](index_t j) {
      return row.offset(static_cast<double>(load(from[j])),
                        static_cast<double>(load(current(i, j))),
                        static_cast<double>(load(gradient(i, j))));
    };
    double squares = 0;
    for (index_t j = 0; j < cols; ++j) squares += offset(j) * offset(j);
    const double share = row.within_ball(std::sqrt(squares));
    const auto moved = [&](index_t j) {
      return static_cast<double>(load(from[j])) + share * offset(j);
    };
    double factor = 1;
    if (options.renormalize) {
      squares = 0;
      for (index_t j = 0; j < cols; ++j) squares += moved(j) * moved(j);
      factor = inverse_norm(std::sqrt(squares), default_norm_eps);
    }
    for (index_t j = 0; j < cols; ++j)
      out(i, j) = store<T>(static_cast<compute_t<T>>(factor * moved(j)));
  });
}

/// The gradient by the original of rows that were moved: none (zeros, or nothing added), or with
/// adversarial_gradient::straight_through grad_out itself, which x.gradient may be in overwrite
/// mode.
template <element T>
void adversarial_backward(cpu_context& ctx, const operand<T>& original,
                          std::type_identity_t<matrix_view<const T>> grad_out,
                          const adversarial_options& options = {}) {
  constexpr std::string_view op = "adversarial_backward";
  check::backward_views(op, original, grad_out, /*may_be_same=*/true);
  check::adversarial_numbers(op, options);
  using C = compute_t<T>;
  const bool through = options.gradient == adversarial_gradient::straight_through;
  cpu::for_each_row(ctx, original.value.rows(), original.value.cols(), {}, [&](index_t i, int) {
    cpu::put_gradient(original, i,
                      [&](index_t j) { return through ? load(grad_out(i, j)) : C{0}; });
  });
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
