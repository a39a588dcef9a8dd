// What effective_rank refuses, and its formula, on every backend.
#pragma once

#include <cmath>
#include <limits>
#include <string_view>

#include "feaug/core/element.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/diagnostics/diagnostic_checks.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::detail {

template <element T, memory_space S>
void effective_rank_arguments(std::string_view op, const matrix_view<const T, S>& x,
                              const vector_view<double, S>& to) {
  check::batch(op, "x", x, 1);
  check::diagnostic_output(op, to);
}

/// What rounding leaves of an eigenvalue that is 0, relative to the largest.
inline double eigenvalue_rounding(index_t rows, index_t cols) {
  return static_cast<double>(rows > cols ? rows : cols) * std::numeric_limits<double>::epsilon();
}

/// exp of the entropy of the square roots of `eigenvalues` (ascending), scaled to sum 1. What is
/// below `smallest` of the largest is rounding, and counts as 0.
FEAUG_HD inline double rank_of_eigenvalues(const double* eigenvalues, index_t count,
                                           double smallest) {
  const double largest = eigenvalues[count - 1];
  if (!(largest > 0)) return largest == largest ? 0.0 : largest;
  const auto singular_value = [&](index_t k) {
    const double relative = eigenvalues[k] / largest;
    return relative > smallest ? std::sqrt(relative) : 0.0;
  };
  double total = 0;
  for (index_t k = 0; k < count; ++k) total += singular_value(k);
  double entropy = 0;
  for (index_t k = 0; k < count; ++k) {
    const double share = singular_value(k) / total;
    if (share > 0) entropy -= share * std::log(share);
  }
  return std::exp(entropy);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::detail
