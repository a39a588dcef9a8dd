// What alignment may be told, and what it refuses, on every backend.
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

/// Options of alignment.
struct alignment_options {
  /// The power that distances are taken to.
  double alpha = 2;
};

namespace detail {

template <element T, memory_space S>
void alignment_arguments(std::string_view op, const matrix_view<const T, S>& a,
                         const matrix_view<const T, S>& b, const alignment_options& options) {
  check::batch(op, "a", a, 1);
  check::readable(op, "b", b);
  check::has_shape(op, "b", b, a.rows(), a.cols(), "a");
  check::positive(op, "alpha", options.alpha);
}

/// distance^alpha from the distance's square.
FEAUG_HD inline double distance_to_the(double alpha, double squared) {
  return alpha == 2 ? squared : std::pow(squared, 0.5 * alpha);
}

}  // namespace detail
}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
