// What feature_deviation refuses, and its formula, on every backend.
#pragma once

#include <cmath>
#include <string_view>

#include "feaug/core/columns.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/diagnostics/diagnostic_checks.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::detail {

template <element T, memory_space S>
void feature_deviation_arguments(std::string_view op, const matrix_view<const T, S>& x,
                                 const vector_view<double, S>& to,
                                 const vector_view<double, S>& deviations) {
  check::batch(op, "x", x, 2);
  check::diagnostic_output(op, to);
  check::writable(op, "deviations", deviations);
  if (!deviations.empty()) check::has_size(op, "deviations", deviations, x.cols(), "one a feature");
  check::apart(op, "deviations", deviations, "to", to);
}

/// From a column's squared deviations to its deviation, and that in units of 1/√D.
template <memory_space S>
struct feature_deviation_of {
  const double* squares;
  index_t rows;
  index_t features;
  vector_view<double, S> deviations;  ///< empty: not wanted
  double* scaled;

  FEAUG_HD void operator()(index_t j) const {
    const double deviation = std::sqrt(squares[j] / static_cast<double>(rows - 1));
    if (!deviations.empty()) deviations[j] = deviation;
    scaled[j] = deviation * std::sqrt(static_cast<double>(features));
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::detail
