// Computes one diagonal element of a Cholesky factor and its inverse, for all backends. A pivot
// that is zero up to rounding, as in a semi-definite matrix, becomes 0.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/core/elementary.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::detail {

/// A diagonal element of the factor, and the factor by which the elements below it are multiplied.
struct cholesky_pivot {
  double root;
  double inverse;
};

/// `diagonal` is the diagonal element of the matrix, `residual` what remains after the earlier
/// columns are subtracted. For a semi-definite matrix the exact result may be a column of zeros,
/// while rounding leaves a small number of either sign. Residuals up to the rounding error,
/// size · 2⁻⁵² · diagonal, are therefore treated as 0. NaN stays NaN.
FEAUG_HD inline cholesky_pivot pivot_of(double residual, double diagonal, index_t size) {
  if (residual > diagonal * static_cast<double>(size) * 0x1p-52) {
    const double root = feaug::detail::sqrt(residual);
    return {root, 1.0 / root};
  }
  const double zero_or_nan = residual - residual;
  return {zero_or_nan, zero_or_nan};
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::detail

#include "feaug/header_end.hpp"
