// Principal component analysis: the two axes along which rows differ most, for pictures.
#pragma once

#include <array>

#include "network/matrix.hpp"

namespace trainer {

struct principal_axes {
  network::matrix<float> mean;  ///< 1 × D
  network::matrix<float> axes;  ///< D × 2, unit columns; the largest entry of each is above 0
  std::array<float, 2> shares;  ///< of the variance, as fractions
};

principal_axes principal_axes_of(const network::matrix<float>& rows);

/// The rows' coordinates on the axes, N × 2.
network::matrix<float> projected(const principal_axes& onto, const network::matrix<float>& rows);

}  // namespace trainer
