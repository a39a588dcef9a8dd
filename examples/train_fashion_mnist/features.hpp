// The frozen encoder's features as NumPy files.
#pragma once

#include <string>

#include "dataset.hpp"
#include "feaug/cpu/core/context.hpp"
#include "network/encoder.hpp"

namespace trainer {

/// Creates the folder if it is not there. Throws user_error unless write_features could write into
/// it.
void require_features(const std::string& folder);

/// Writes train_features.npy and held_out_features.npy (float32, images × features) and
/// train_labels.npy and held_out_labels.npy (int64). Throws user_error.
void write_features(feaug::cpu_context& ctx, const std::string& folder,
                    network::encoder<float>& encoder, const fashion_mnist& data);

}  // namespace trainer
