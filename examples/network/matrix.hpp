// The container type of the network: a row-major matrix. Images are rows of pixels, channels last.
#pragma once

#include <Eigen/Core>

namespace network {

using index = Eigen::Index;

template <class S>
using matrix = Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

}  // namespace network
