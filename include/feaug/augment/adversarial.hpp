// Adversarial steps: move features in the direction that increases a loss, within a ball around the
// originals.
#pragma once

#include "feaug/header_begin.hpp"

#include <string_view>
#include <type_traits>

#include "feaug/augment/augmentation.hpp"
#include "feaug/augment/backward_views.hpp"
#include "feaug/augment/elementwise.hpp"
#include "feaug/augment/noise.hpp"
#include "feaug/core/any_context.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/finite.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// The norm that measures the length of a step and the radius of the ball.
enum class adversarial_norm {
  l2,    ///< step along g/‖g‖, within a ball (Madry et al., PGD, arXiv 1706.06083)
  linf,  ///< step along sign(g), within a cube (Goodfellow et al., FGSM, arXiv 1412.6572)
};

/// The gradient of the moved rows with respect to the original.
enum class adversarial_gradient {
  none,              ///< zero: moved rows are constants, as adversarial examples usually are
  straight_through,  ///< g: the moved row counts as the original plus a constant
};

struct adversarial_options {
  adversarial_norm norm = adversarial_norm::l2;
  double step_size = 0.1;
  double radius = 0.1;
  /// With row_norm, step_size and radius are multiplied by the original row's ‖·‖₂, which counts as
  /// a constant for gradients.
  noise_scale relative_to = noise_scale::absolute;
  /// Whether the resulting rows are L2-normalised, as losses based on cosine expect (RoCL, Kim et
  /// al., arXiv 2006.07589; CLAE, Ho and Vasconcelos, arXiv 2010.12050).
  bool renormalize = false;
  adversarial_gradient gradient = adversarial_gradient::none;
};

namespace detail {

/// 0 if `value` is finite, else NaN. Added to a result that must become NaN if `value` is not
/// finite.
FEAUG_HD inline double nan_unless_finite(double value) { return value - value; }

/// The quantities shared by all elements of one row's step.
struct adversarial_row {
  adversarial_norm norm;
  double step;
  double radius;

  /// `gradient_norm` is ‖g‖₂, used only with l2; `original_norm` is used only with
  /// noise_scale::row_norm.
  FEAUG_HD adversarial_row(const adversarial_options& options, double gradient_norm,
                           double original_norm)
      : norm(options.norm), step(options.step_size), radius(options.radius) {
    if (options.relative_to == noise_scale::row_norm) {
      const double unit = original_norm + nan_unless_finite(original_norm);
      step *= unit;
      radius *= unit;
    }
    // A zero gradient has no direction, so the row does not move.
    if (norm == adversarial_norm::l2 && !feaug::detail::is_equal(gradient_norm, 0))
      step = step / gradient_norm + nan_unless_finite(gradient_norm);
  }

  /// An element's offset from the original after the step. It is clamped here for linf; within_ball
  /// scales it for l2.
  [[nodiscard]] FEAUG_HD double offset(double original, double current, double gradient) const {
    if (norm == adversarial_norm::l2) return (current - original) + step * gradient;
    const double direction = gradient > 0 ? 1.0 : gradient < 0 ? -1.0 : 0.0;
    const double moved = (current - original) + step * direction;
    const double cut = moved > radius ? radius : moved < -radius ? -radius : moved;
    return cut + nan_unless_finite(gradient) + nan_unless_finite(current - original);
  }

  /// The factor for the offsets of a row, where `length` is ‖offset‖₂.
  [[nodiscard]] FEAUG_HD double within_ball(double length) const {
    if (norm == adversarial_norm::linf || length <= radius) return 1.0;
    return radius / length + nan_unless_finite(length);
  }
};

/// A context's implementation: step and backward, called with checked arguments.
template <class Context>
struct adversarial_on {
  static_assert(is_included<Context>,
                "include feaug/cpu/augment/adversarial.hpp or feaug/cuda/augment/adversarial.cuh");
};

}  // namespace detail

namespace check {

inline void adversarial_numbers(std::string_view op, const adversarial_options& options) {
  const auto length = [op](std::string_view name, double value) {
    if (value >= 0 && feaug::detail::is_finite(value)) return;
    fail(op, name, text(value), "a finite number of at least 0");
  };
  length("step_size", options.step_size);
  length("radius", options.radius);
}

/// Checks the arguments of adversarial_step.
template <element T, memory_space S>
void adversarial_step_arguments(const matrix_view<const T, S>& original,
                                const matrix_view<const T, S>& current,
                                const matrix_view<const T, S>& gradient,
                                const adversarial_options& options, const matrix_view<T, S>& out) {
  constexpr std::string_view op = "adversarial_step";
  readable(op, "original", original);
  const auto fits = [&](std::string_view name, const matrix_view<const T, S>& view) {
    readable(op, name, view);
    has_shape(op, name, view, original.rows(), original.cols(), "original");
  };
  fits("current", current);
  fits("gradient", gradient);
  writable(op, "out", out);
  has_shape(op, "out", out, original.rows(), original.cols(), "original");
  apart_or_same(op, "out", out, "original", original);
  apart_or_same(op, "out", out, "current", current);
  apart_or_same(op, "out", out, "gradient", gradient);
  adversarial_numbers(op, options);
}

}  // namespace check

/// One step of gradient ascent on the loss: with d = current − original + step_size ·
/// direction(gradient),
///
///   out = original + d · min(1, radius/‖d‖)           l2,   direction(g) = g/‖g‖
///   out = original + clamp(d, −radius, radius)        linf, direction(g) = sign(g)
///
/// With `renormalize`, rows are then L2-normalised. original, current, gradient and out are N × D;
/// gradient is that of the loss with respect to current. With current = original the step is FGSM;
/// for several steps compute a new gradient before each (see adversarial_steps). A row with a zero
/// gradient does not move, but is still projected into the ball. NaN or ∞ in a gradient makes the
/// elements that depend on it NaN (with l2 the whole row). out may be exactly one of the inputs;
/// any other overlap is an error. Computed in double, rounded once. With double features, gradients
/// below 1e-154 count as zero.
///
/// Throws argument_error, before anything is written, for shapes, overlaps, and a step_size or
/// radius that is negative or not finite. Scratch: none.
template <any_context Context, element T>
void adversarial_step(Context& ctx,
                      std::type_identity_t<matrix_view<const T, Context::space>> original,
                      std::type_identity_t<matrix_view<const T, Context::space>> current,
                      std::type_identity_t<matrix_view<const T, Context::space>> gradient,
                      const adversarial_options& options, matrix_view<T, Context::space> out) {
  constexpr std::string_view op = "adversarial_step";
  check::adversarial_step_arguments<T>(original, current, gradient, options, out);
  if (out.empty()) return;
  require_reachable(ctx, op, "original", original);
  require_reachable(ctx, op, "current", current);
  require_reachable(ctx, op, "gradient", gradient);
  require_reachable(ctx, op, "out", out);
  detail::adversarial_on<Context>::template step<T>(ctx, original, current, gradient, options, out);
}

/// The gradient with respect to the original: zero (nothing is added with accumulate), or grad_out
/// with adversarial_gradient::straight_through. grad_out may be x.gradient itself in overwrite
/// mode. Scratch: none.
template <any_context Context, element T>
void adversarial_backward(Context& ctx, const operand<T, 2, Context::space>& original,
                          std::type_identity_t<matrix_view<const T, Context::space>> grad_out,
                          const adversarial_options& options = {}) {
  constexpr std::string_view op = "adversarial_backward";
  check::backward_views(op, original, grad_out, /*may_be_same=*/true);
  check::adversarial_numbers(op, options);
  if (original.value.empty() || !original.wants_gradient()) return;
  require_reachable(ctx, op, "original", original);
  require_reachable(ctx, op, "grad_out", grad_out);
  detail::adversarial_on<Context>::template backward<T>(ctx, original, grad_out, options);
}

/// Options of adversarial_steps.
struct adversarial_schedule {
  adversarial_options step = {};
  int steps = 1;
};

/// Runs `schedule.steps` steps from `original`: out starts as a copy of it and receives the result
/// of the last step. Before each step gradient_of(out) is called on the host; it must write the
/// gradient of the loss with respect to out into the memory that `gradient` views. Works in any
/// context; on a GPU gradient_of must launch its work on the context's stream. out and gradient
/// must not overlap original or each other.
template <any_context Context, element T, class GradientOf>
void adversarial_steps(Context& ctx,
                       std::type_identity_t<matrix_view<const T, Context::space>> original,
                       std::type_identity_t<matrix_view<const T, Context::space>> gradient,
                       const GradientOf& gradient_of, const adversarial_schedule& schedule,
                       const matrix_view<T, Context::space>& out) {
  constexpr std::string_view op = "adversarial_steps";
  check::adversarial_step_arguments<T>(original, original, gradient, schedule.step, out);
  check::apart(op, "out", out, "original", original);
  check::apart(op, "out", out, "gradient", gradient);
  if (schedule.steps < 1)
    check::fail(op, "steps", check::text(schedule.steps), "a number of at least 1");
  augment(ctx, identity{}, original, random_key{}, out);
  for (int i = 0; i < schedule.steps; ++i) {
    gradient_of(out);
    adversarial_step(ctx, original, out, gradient, schedule.step, out);
  }
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
