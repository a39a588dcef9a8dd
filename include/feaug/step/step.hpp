// A training step on features: augmentation, prediction, loss and all gradients in one call.
//
// Include feaug/cpu/step/step.hpp for the CPU or feaug/cuda/step/step.cuh for CUDA: they include
// the implementations that step and step_direction call.
#pragma once

#include "feaug/header_begin.hpp"

#include <string_view>
#include <type_traits>

#include "feaug/augment/augmentation.hpp"
#include "feaug/core/any_context.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/step/gradient_accumulator.hpp"
#include "feaug/step/predictor.hpp"
#include "feaug/step/step_direction.hpp"
#include "feaug/step/step_options.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Writes the loss of one direction to one element, and its gradients. The prediction comes from
/// `a`, the target from `b` (both N × D); options.architecture gives the positions of augmentation
/// and predictor. For sg pass stop_gradient(b); if b has a destination, it is differentiated too.
/// For momentum targets call it for (z1, stop_gradient(m2)) and for (z2, stop_gradient(m1)).
///
/// `augmentation` is a policy, or a callable (direction, sample) → policy. `direction` (0 or 1)
/// separates the draws of two calls; sample k draws from streams starting at key.stream +
/// (direction·samples + k)·stream_count<policy>. options.symmetric is ignored. The predictor
/// accumulates its own parameter gradients, see feaug::predictor. The features themselves are not
/// changed. Scratch: up to eleven N × D arrays.
template <any_context Context, element T, memory_space S, predictor<T, S> Predictor,
          class Augmentation>
requires(S == Context::space) void step_direction(
    Context& ctx, const std::type_identity_t<step_options<T, S>>& options,
    const operand<T, 2, S>& a, const std::type_identity_t<operand<T, 2, S>>& b, Predictor& h,
    const Augmentation& augmentation, const random_key& key,
    std::type_identity_t<vector_view<compute_t<T>, S>> loss, int direction = 0) {
  constexpr std::string_view op = "step_direction";
  const check::call_memory memory =
      detail::check_step<Predictor>(op, options, "a", a, "b", b, augmentation, loss);
  check::within(op, "direction", index_t{direction}, 0, 1);
  check::usable(op, key, a.value.rows(), a.value.cols(),
                (direction + 1) * options.samples * stream_count<detail::policy_type<Augmentation>>,
                S);
  detail::gradient_accumulator<T, S> sink_a(a);
  detail::gradient_accumulator<T, S> sink_b(b);
  typename Context::operation call(ctx, op);
  auto* total = call.template take_zeros<double>(1);
  detail::step_direction_call<Context, T, Predictor, Augmentation>(
      ctx, options, 1.0, sink_a, sink_b, h, augmentation, key, direction, memory, total)
      .run();
  sink_a.finish(call);
  sink_b.finish(call);
  write_total(call, total, loss);
}

/// Returns the loss as a number.
template <host_context Context, element T, predictor<T> Predictor, class Augmentation>
compute_t<T> step_direction(Context& ctx, const std::type_identity_t<step_options<T>>& options,
                            const operand<T>& a, const std::type_identity_t<operand<T>>& b,
                            Predictor& h, const Augmentation& augmentation, const random_key& key,
                            int direction = 0) {
  compute_t<T> loss{};
  step_direction(ctx, options, a, b, h, augmentation, key, scalar(loss), direction);
  return loss;
}

/// Writes the loss of two views, N × D each, to one element, and all gradients: the mean of both
/// directions, or only z1 → z2 if options.symmetric is false. Each view is differentiated as a
/// prediction and, with target_gradient::flowing, as a target.
template <any_context Context, element T, memory_space S, predictor<T, S> Predictor,
          class Augmentation>
requires(S == Context::space) void step(Context& ctx,
                                        const std::type_identity_t<step_options<T, S>>& options,
                                        const operand<T, 2, S>& z1, const operand<T, 2, S>& z2,
                                        Predictor& h, const Augmentation& augmentation,
                                        const random_key& key,
                                        std::type_identity_t<vector_view<compute_t<T>, S>> loss,
                                        target_gradient targets = target_gradient::stopped) {
  constexpr std::string_view op = "step";
  const check::call_memory memory =
      detail::check_step<Predictor>(op, options, "z1", z1, "z2", z2, augmentation, loss);
  check::usable(op, key, z1.value.rows(), z1.value.cols(),
                2 * options.samples * stream_count<detail::policy_type<Augmentation>>, S);
  using sink = detail::gradient_accumulator<T, S>;
  sink sinks[2] = {sink(z1), sink(z2)};
  const int directions = options.symmetric ? 2 : 1;
  typename Context::operation call(ctx, op);
  auto* total = call.template take_zeros<double>(1);
  for (int direction = 0; direction < directions; ++direction) {
    sink& a = sinks[direction];
    sink& b = sinks[1 - direction];
    sink constant(stop_gradient(b.value()));
    detail::step_direction_call<Context, T, Predictor, Augmentation>(
        ctx, options, 1.0 / directions, a, targets == target_gradient::flowing ? b : constant, h,
        augmentation, key, direction, memory, total)
        .run();
  }
  sinks[0].finish(call);
  sinks[1].finish(call);
  write_total(call, total, loss);
}

/// Returns the loss as a number.
template <host_context Context, element T, predictor<T> Predictor, class Augmentation>
compute_t<T> step(Context& ctx, const std::type_identity_t<step_options<T>>& options,
                  const operand<T>& z1, const operand<T>& z2, Predictor& h,
                  const Augmentation& augmentation, const random_key& key,
                  target_gradient targets = target_gradient::stopped) {
  compute_t<T> loss{};
  step(ctx, options, z1, z2, h, augmentation, key, scalar(loss), targets);
  return loss;
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
