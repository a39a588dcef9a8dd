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
  dataset held_out;  ///< what accuracy is measured on
};

/// Where the held-out images come from.
enum class evaluation_split {
  test,
  validation,  ///< the last sixth of the training images, for whoever chooses between settings
};

/// The first `train_size` training images and the held-out ones. Throws user_error for a file that
/// is missing, damaged or no idx file, and for too few images or labels of other images.
fashion_mnist load_fashion_mnist(const std::string& folder, std::int64_t train_size,
                                 evaluation_split held_out);

}  // namespace trainer
