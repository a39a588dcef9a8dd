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
  dataset test;
};

/// The first `train_size` training images and all test images. Throws user_error for a file that is
/// missing, truncated or no idx file, and for too few images.
fashion_mnist load_fashion_mnist(const std::string& folder, std::int64_t train_size);

}  // namespace trainer
