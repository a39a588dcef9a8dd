// A training step on features: augment, predict, compare, and all gradients, in one call.
#pragma once

#include <string_view>
#include <type_traits>

#include "feaug/core/error.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/random.hpp"
#include "feaug/cpu/augment/augmentation.hpp"
#include "feaug/cpu/augment/l2_normalize.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/loss/info_nce.hpp"
#include "feaug/cpu/loss/negative_cosine.hpp"
#include "feaug/cpu/loss/nt_xent.hpp"
#include "feaug/cpu/step/step_sums.hpp"
#include "feaug/step/step.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// The same as step_direction with a view of the loss, with the loss as a number.
template <element T, predictor<T> Predictor, class Augmentation>
compute_t<T> step_direction(cpu_context& ctx, const std::type_identity_t<step_options<T>>& options,
                            const operand<T>& a, const std::type_identity_t<operand<T>>& b,
                            Predictor& h, const Augmentation& augmentation, const random_key& key,
                            int direction = 0) {
  compute_t<T> loss{};
  step_direction(ctx, options, a, b, h, augmentation, key, scalar(loss), direction);
  return loss;
}

/// The same as step with a view of the loss, with the loss as a number.
template <element T, predictor<T> Predictor, class Augmentation>
compute_t<T> step(cpu_context& ctx, const std::type_identity_t<step_options<T>>& options,
                  const operand<T>& z1, const operand<T>& z2, Predictor& h,
                  const Augmentation& augmentation, const random_key& key,
                  target_gradient targets = target_gradient::stopped) {
  compute_t<T> loss{};
  step(ctx, options, z1, z2, h, augmentation, key, scalar(loss), targets);
  return loss;
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
