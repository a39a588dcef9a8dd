#include "principal_axes.hpp"

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cstddef>

namespace trainer {

using network::index;
using network::matrix;

principal_axes principal_axes_of(const matrix<float>& rows) {
  principal_axes found;
  found.mean = rows.colwise().mean();
  const matrix<float> centred = rows.rowwise() - found.mean.row(0);
  // A coefficient-based product: Eigen's blocked product would double the compile time of this
  // file.
  const Eigen::MatrixXf covariance = centred.transpose().lazyProduct(centred);
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXf> solver(covariance);
  found.axes = solver.eigenvectors().rightCols(2).rowwise().reverse();
  const float all = std::max(solver.eigenvalues().sum(), 1e-12F);
  for (index j = 0; j < 2; ++j) {
    // The sign of an axis is arbitrary: its largest entry is made positive.
    index largest = 0;
    found.axes.col(j).cwiseAbs().maxCoeff(&largest);
    if (found.axes(largest, j) < 0) found.axes.col(j) *= -1;
    found.shares[static_cast<std::size_t>(j)] =
        solver.eigenvalues()(solver.eigenvalues().size() - 1 - j) / all;
  }
  return found;
}

matrix<float> projected(const principal_axes& onto, const matrix<float>& rows) {
  const matrix<float> centred = rows.rowwise() - onto.mean.row(0);
  return centred.lazyProduct(onto.axes);
}

}  // namespace trainer
