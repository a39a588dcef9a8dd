// Principal component analysis: the two axes of largest variance, for pictures.
#pragma once

#include <array>

#include "network/matrix.hpp"

namespace trainer {

struct principal_axes {
  network::matrix<float> mean;  ///< 1 × D
  network::matrix<float> axes;  ///< D × 2, unit columns; the largest entry of each is positive
  std::array<float, 2> shares;  ///< explained variance of each axis, as fractions
};

principal_axes principal_axes_of(const network::matrix<float>& rows);

/// The rows' coordinates on the axes, N × 2.
network::matrix<float> projected(const principal_axes& onto, const network::matrix<float>& rows);

}  // namespace trainer
