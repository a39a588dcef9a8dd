// What becomes of a Cholesky factor's diagonal, the same rule on every backend.
#pragma once

#include <cmath>

#include "feaug/core/macros.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::detail {

/// A diagonal element of the factor, and what the elements below it are multiplied by.
struct cholesky_pivot {
  double root;
  double inverse;
};

/// `rest` is what earlier columns left of the diagonal element `whole`. Of a matrix that is only
/// semi-definite rounding leaves something near 0 of either sign, where the exact answer is a
/// column of zeros: what is not above rounding's share of the element is taken for it. NaN stays
/// NaN.
FEAUG_HD inline cholesky_pivot pivot_of(double rest, double whole, index_t size) {
  if (rest > whole * static_cast<double>(size) * 0x1p-52) {
    const double root = std::sqrt(rest);
    return {root, 1.0 / root};
  }
  const double none = rest - rest;  // 0, or NaN
  return {none, none};
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::detail
