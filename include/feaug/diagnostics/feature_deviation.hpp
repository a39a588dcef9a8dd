// The standard deviation of every feature over the batch: an indicator of collapse.
#pragma once

#include "feaug/header_begin.hpp"

#include <string_view>
#include <type_traits>

#include "feaug/core/any_context.hpp"
#include "feaug/core/call_memory.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/elementary.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/diagnostics/diagnostic_checks.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace detail {

/// The deviation of each column from its sum of squared deviations, also in units of 1/√D.
template <memory_space S>
struct feature_deviation_of {
  const double* squares;
  index_t rows;
  index_t features;
  vector_view<double, S> deviations;  ///< empty: not written
  double* scaled;

  FEAUG_HD void operator()(index_t j) const {
    const double deviation = feaug::detail::sqrt(squares[j] / static_cast<double>(rows - 1));
    if (!deviations.empty()) deviations[j] = deviation;
    scaled[j] = deviation * feaug::detail::sqrt(static_cast<double>(features));
  }
};

/// A context's implementation: run, called with checked arguments.
template <class Context>
struct feature_deviation_on {
  static_assert(is_included<Context>,
                "include feaug/cpu/diagnostics/feature_deviation.hpp or "
                "feaug/cuda/diagnostics/feature_deviation.cuh");
};

}  // namespace detail

/// Writes √D · mean_j s_j to one element, where s_j is the (unbiased) standard deviation of feature
/// j of the unit rows. It is about 1 if features are spread evenly over the sphere, and 0 if all
/// rows have the same direction (Chen and He, SimSiam, arXiv 2011.10566).
///
/// x is N × D, N ≥ 2. `deviations`, if given, receives the D values s_j. NaN or ∞ in a row makes
/// all results NaN. No gradient: this is a diagnostic; for a loss see vicreg's variance term.
/// Scratch: 8 bytes a row, 24 a feature.
template <any_context Context, class X, class T = std::remove_const_t<X>>
requires element<T>
void feature_deviation(Context& ctx, const matrix_view<X, Context::space>& x,
                       diagnostic_destination<Context> to,
                       const vector_view<double, Context::space>& deviations = {}) {
  constexpr std::string_view op = "feature_deviation";
  check::batch(op, "x", x, 2);
  check::diagnostic_output(op, to);
  check::writable(op, "deviations", deviations);
  if (!deviations.empty()) check::has_size(op, "deviations", deviations, x.cols(), "one a feature");
  check::call_memory(op)
      .writes("deviations", deviations)
      .writes("to", to)
      .reads("x", x)
      .require_apart();
  require_reachable(ctx, op, "x", x);
  require_reachable(ctx, op, "to", to);
  require_reachable(ctx, op, "deviations", deviations);
  detail::feature_deviation_on<Context>::template run<T>(ctx, x, to, deviations);
}

/// Returns the same value as a number.
template <host_context Context, class X>
requires element<std::remove_const_t<X>>
double feature_deviation(Context& ctx, const matrix_view<X>& x) {
  double value = 0;
  feature_deviation(ctx, x, scalar(value));
  return value;
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
