// Uniformity: how evenly features are spread over the sphere.
#pragma once

#include "feaug/header_begin.hpp"

#include <string_view>
#include <type_traits>

#include "feaug/core/any_context.hpp"
#include "feaug/core/call_memory.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/diagnostics/diagnostic_checks.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Options of uniformity.
struct uniformity_options {
  /// How fast a pair's weight decreases with its squared distance.
  double t = 2;
};

namespace detail {

/// A context's implementation: run, called with checked arguments.
template <class Context>
struct uniformity_on {
  static_assert(
      is_included<Context>,
      "include feaug/cpu/diagnostics/uniformity.hpp or feaug/cuda/diagnostics/uniformity.cuh");
};

}  // namespace detail

/// Writes log mean_{i<j} exp(−t · ‖unit(x_i) − unit(x_j)‖²) to one element (Wang and Isola, arXiv
/// 2005.10242). It is 0 if all rows have the same direction, −2t if all are orthogonal, and lower
/// the more evenly they are spread.
///
/// x is N × D, N ≥ 2. Squared distances are 2 − 2·cos, so a zero row counts as orthogonal to all
/// others. Computed tile by tile with a log-sum-exp: there is no N × N matrix, and nothing
/// underflows for any t. NaN or ∞ in x makes the result NaN. No gradient: this is a diagnostic; for
/// a loss see hypersphere.
template <any_context Context, class X, class T = std::remove_const_t<X>>
requires element<T>
void uniformity(Context& ctx, const matrix_view<X, Context::space>& x,
                diagnostic_destination<Context> to, const uniformity_options& options = {}) {
  constexpr std::string_view op = "uniformity";
  check::batch(op, "x", x, 2);
  check::positive(op, "t", options.t);
  check::diagnostic_output(op, to);
  check::call_memory(op).writes("to", to).reads("x", x).require_apart();
  require_reachable(ctx, op, "x", x);
  require_reachable(ctx, op, "to", to);
  detail::uniformity_on<Context>::template run<T>(ctx, x, to, options);
}

/// Returns the same value as a number.
template <host_context Context, class X>
requires element<std::remove_const_t<X>>
double uniformity(Context& ctx, const matrix_view<X>& x, const uniformity_options& options = {}) {
  double value = 0;
  uniformity(ctx, x, scalar(value), options);
  return value;
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
