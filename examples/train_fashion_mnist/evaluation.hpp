// What frozen features are worth: a linear probe and nearest neighbours, on images held out.
#pragma once

#include "accuracies.hpp"
#include "dataset.hpp"
#include "feaug/cpu/core/context.hpp"
#include "network/encoder.hpp"

namespace trainer {

/// Trains the probe on the training images' features and labels and measures both on the held-out
/// images.
accuracies evaluate(feaug::cpu_context& ctx, network::encoder<float>& encoder,
                    const fashion_mnist& data);

}  // namespace trainer
