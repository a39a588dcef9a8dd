// The loss of every method.
#pragma once

#include "feature_augmentation.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "model.hpp"
#include "network/parameter.hpp"
#include "settings.hpp"

namespace trainer {

/// Inputs and outputs of a micro-batch's loss: projections of both views.
struct two_views {
  feaug::operand<float> z[2];
  feaug::matrix_view<const float> target[2];  ///< from the momentum network, or z
  augmentation_inputs inputs;
  feaug::random_key key;
};

/// Parameters besides encoder and projector: predictor and prototypes.
struct learned_parts {
  predictor& h;
  network::parameter<float>& prototypes;
};

/// The methods that feaug::step implements: those that compare pairs of prediction and target
/// (settings::is_step). Returns this micro-batch's loss divided by `accumulate`, and writes its
/// gradients.
double step_objective(feaug::cpu_context& ctx, const settings& chosen, const two_views& views,
                      const learned_parts& learned);

/// The same for barlow_twins, vicreg, swav, mean_shift and ressl.
double other_objective(feaug::cpu_context& ctx, const settings& chosen, const two_views& views,
                       const learned_parts& learned);

}  // namespace trainer
