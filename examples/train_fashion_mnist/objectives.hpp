// The loss of every method.
#pragma once

#include <cstdint>
#include <vector>

#include "feaug/core/operand.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/queue/support_queue.hpp"
#include "model.hpp"
#include "network/parameter.hpp"
#include "settings.hpp"

namespace trainer {

/// What a micro-batch's loss reads and writes: projections of both views.
struct two_views {
  feaug::operand<float> z[2];
  feaug::matrix_view<const float> target[2];  ///< of the momentum network, or z again
  const std::vector<std::int64_t>& ids;
  feaug::support_queue<float> queue;
  feaug::random_key key;
};

/// What is learned beside the networks.
struct learned_parts {
  predictor& h;
  network::parameter<float>& prototypes;
};

/// The methods that compare pairs of prediction and target (settings::is_step), by feaug::step.
/// Returns the loss, and fills the gradients for 1 / accumulate of it.
double step_objective(feaug::cpu_context& ctx, const settings& chosen, const two_views& views,
                      const learned_parts& learned);

/// The same of barlow_twins, vicreg, swav, mean_shift and ressl.
double other_objective(feaug::cpu_context& ctx, const settings& chosen, const two_views& views,
                       const learned_parts& learned);

}  // namespace trainer
