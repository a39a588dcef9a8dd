// Fashion-MNIST from its idx files (Xiao et al., arXiv 1708.07747).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "network/matrix.hpp"

namespace trainer {

struct dataset {
  network::matrix<float> images;     ///< N × 784, 0 … 1
  std::vector<std::int64_t> labels;  ///< N, 0 … 9
};

struct fashion_mnist {
  dataset train;
  dataset held_out;  ///< images for measuring accuracy
};

/// Source of the held-out images.
enum class evaluation_split {
  test,
  validation,  ///< the last sixth of the training images, for choosing settings
};

/// The first `train_size` training images, and the held-out images. Throws user_error if a file is
/// missing, damaged or not an idx file, if there are too few images, or if the labels do not match
/// the images.
fashion_mnist load_fashion_mnist(const std::string& folder, std::int64_t train_size,
                                 evaluation_split held_out);

}  // namespace trainer
