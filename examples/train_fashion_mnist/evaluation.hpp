// What frozen features are worth: a linear probe and nearest neighbours, on images held out.
#pragma once

#include "dataset.hpp"
#include "feaug/core/context.hpp"
#include "network/encoder.hpp"

namespace trainer {

struct accuracies {
  double linear = 0;  ///< of a multinomial logistic regression, as a fraction
  double knn = 0;     ///< of 20 nearest neighbours by cosine, votes weighted by similarity
};

/// The encoder's features of all images, batch norm by its running statistics.
network::matrix<float> features_of(feaug::cpu_context& ctx, network::encoder<float>& encoder,
                                   const network::matrix<float>& images);

/// Trains the probe on the training images' features and labels and measures both on the held-out
/// images.
accuracies evaluate(feaug::cpu_context& ctx, network::encoder<float>& encoder,
                    const fashion_mnist& data);

}  // namespace trainer
