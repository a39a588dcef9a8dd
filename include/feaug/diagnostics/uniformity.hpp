// What uniformity may be told, and what it refuses, on every backend.
#pragma once

#include <cmath>
#include <string_view>

#include "feaug/core/element.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/diagnostics/diagnostic_checks.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Options of uniformity.
struct uniformity_options {
  /// How fast a pair's weight falls with its squared distance.
  double t = 2;
};

namespace detail {

template <element T, memory_space S>
void uniformity_arguments(std::string_view op, const matrix_view<const T, S>& x,
                          const uniformity_options& options) {
  check::batch(op, "x", x, 2);
  check::positive(op, "t", options.t);
}

/// With s_ij = 2t·cos_ij, −t·d²_ij = s_ij − 2t; a pair is counted from both its rows. From
/// largest + log(sum) = log Σ_i Σ_{j≠i} exp s_ij.
FEAUG_HD inline double uniformity_of(double largest, double sum, double t, index_t rows) {
  const double n = static_cast<double>(rows);
  return (largest - 2 * t) + std::log(sum) - std::log(n * (n - 1));
}

}  // namespace detail
}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
