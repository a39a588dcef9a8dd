// The norm of a row, bit-identical on every backend.
#pragma once

#include "feaug/header_begin.hpp"

#include <cmath>

#include "feaug/core/element.hpp"
#include "feaug/core/elementary.hpp"
#include "feaug/core/exact_dot.hpp"
#include "feaug/core/exact_math.hpp"
#include "feaug/core/finite.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Lower limit of the norm in divisions: unit(x) = x / max(‖x‖, 1e-12).
inline constexpr double default_norm_eps = 1e-12;

/// ‖row‖₂ of a row that is not finite or whose sum of squares overflows double (possible only for
/// doubles above 1e154): divides by the largest magnitude first.
template <element T>
FEAUG_HD double scaled_row_norm(const T* row, index_t cols) {
  double largest = 0;
  for (index_t j = 0; j < cols; ++j) {
    const double magnitude = std::fabs(exact::to_double(load(row[j])));
    if (magnitude > largest || detail::is_nan(magnitude)) largest = magnitude;
  }
  if (!detail::is_finite(largest)) return largest;  // NaN too
  double scaled = 0;
  for (index_t j = 0; j < cols; ++j) {
    const double part = exact::to_double(load(row[j])) / largest;
    scaled = exact_multiply_add(scaled, part, part);
  }
  return largest * feaug::detail::sqrt(scaled);
}

/// ‖row‖₂ from Σ x², as exact_multiply_add summed it in index order.
template <element T>
FEAUG_HD double row_norm_of(double square_sum, const T* row, index_t cols) {
  return detail::is_finite(square_sum) ? feaug::detail::sqrt(square_sum)
                                       : scaled_row_norm(row, cols);
}

/// ‖row‖₂, summed in double in index order. Correct for every finite row; not finite if an element
/// is not finite.
template <element T>
FEAUG_HD double row_norm(const T* row, index_t cols) {
  double sum = 0;
  for (index_t j = 0; j < cols; ++j) sum = exact_multiply_add(sum, row[j], row[j]);
  return row_norm_of(sum, row, cols);
}

/// 1 / max(norm, eps), the factor that makes a row a unit row. NaN for a norm that is NaN or
/// infinite.
FEAUG_HD inline double inverse_norm(double norm, double eps) {
  if (!detail::is_finite(norm)) return norm - norm;
  return norm <= eps ? 1.0 / eps : 1.0 / norm;
}

/// Whether a row counts as zero (norm ≤ eps), from its inverse norm. The gradient with respect to x
/// is then 0 (other libraries return g/eps, about 1e12·g). False for NaN, so that NaN reaches the
/// gradient.
FEAUG_HD constexpr bool has_no_direction(double inverse, double eps) {
  return !detail::is_nan(inverse) && inverse >= 1.0 / eps;
}

/// One element of the gradient with respect to x, given the gradient g with respect to u = unit(x):
/// (g − u(u·g)) / ‖x‖. `along` is u·g, `inverse` is 1 / ‖x‖.
FEAUG_HD constexpr double through_unit(double gradient, double unit, double along, double inverse) {
  return (gradient - unit * along) * inverse;
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
