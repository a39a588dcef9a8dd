// Evaluation of frozen features on held-out images: a linear probe and nearest neighbours.
#pragma once

#include "accuracies.hpp"
#include "dataset.hpp"
#include "feaug/cpu/core/context.hpp"
#include "network/encoder.hpp"

namespace trainer {

/// Trains the probe on the training images' features and labels, and measures both accuracies on
/// the held-out images.
accuracies evaluate(feaug::cpu_context& ctx, network::encoder<float>& encoder,
                    const fashion_mnist& data);

}  // namespace trainer
