// Conversions between the networks' matrices and feaug's views.
#pragma once

#include "feaug/core/tensor_view.hpp"
#include "network/matrix.hpp"

namespace trainer {

inline feaug::matrix_view<float> view(network::matrix<float>& m) {
  return {m.data(), m.rows(), m.cols()};
}
inline feaug::matrix_view<const float> view(const network::matrix<float>& m) {
  return {m.data(), m.rows(), m.cols()};
}

/// A copy of the rows of a view.
inline network::matrix<float> matrix_of(feaug::matrix_view<const float> rows) {
  return Eigen::Map<const network::matrix<float>, 0, Eigen::OuterStride<>>(
      rows.data, rows.rows(), rows.cols(), Eigen::OuterStride<>(rows.row_stride()));
}

}  // namespace trainer
