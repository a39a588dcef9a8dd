// The methods whose loss is no pair of prediction and target, as feaug::step wires them.
#pragma once

#include <cstdint>
#include <vector>

#include "feaug/feaug.hpp"
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

/// barlow_twins, vicreg, swav, mean_shift or ressl: returns the loss, and fills the gradients for
/// 1 / accumulate of it.
double objective(feaug::cpu_context& ctx, const settings& chosen, const two_views& views,
                 const learned_parts& learned);

}  // namespace trainer
