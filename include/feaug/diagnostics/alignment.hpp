// Alignment: the mean distance between the two views of a sample.
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

/// Options of alignment.
struct alignment_options {
  /// The exponent applied to each distance.
  double alpha = 2;
};

namespace detail {

/// A context's implementation: run, called with checked arguments.
template <class Context>
struct alignment_on {
  static_assert(
      is_included<Context>,
      "include feaug/cpu/diagnostics/alignment.hpp or feaug/cuda/diagnostics/alignment.cuh");
};

}  // namespace detail

/// Writes mean_i ‖unit(a_i) − unit(b_i)‖^alpha to one element (Wang and Isola, arXiv 2005.10242).
/// It is 0 where the views agree (distances below 2⁻⁵⁰ count as 0); with alpha = 2, orthogonal
/// views have 2.
///
/// a and b are N × D. unit(x) = x / max(‖x‖, 1e-12), so a zero row has distance 1 from every unit
/// row. NaN or ∞ in a row makes the result NaN. No gradient: this is a diagnostic; for a loss see
/// hypersphere. Scratch: 8 bytes a row.
template <any_context Context, class A, class B, class T = std::remove_const_t<A>>
requires same_element<A, B>
void alignment(Context& ctx, const matrix_view<A, Context::space>& a,
               const matrix_view<B, Context::space>& b, diagnostic_destination<Context> to,
               const alignment_options& options = {}) {
  constexpr std::string_view op = "alignment";
  check::batch(op, "a", a, 1);
  check::readable(op, "b", b);
  check::has_shape(op, "b", b, a.rows(), a.cols(), "a");
  check::positive(op, "alpha", options.alpha);
  check::diagnostic_output(op, to);
  check::call_memory(op).writes("to", to).reads("a", a).reads("b", b).require_apart();
  require_reachable(ctx, op, "a", a);
  require_reachable(ctx, op, "b", b);
  require_reachable(ctx, op, "to", to);
  detail::alignment_on<Context>::template run<T>(ctx, a, b, to, options);
}

/// Returns the same value as a number.
template <host_context Context, class A, class B>
requires same_element<A, B>
double alignment(Context& ctx, const matrix_view<A>& a, const matrix_view<B>& b,
                 const alignment_options& options = {}) {
  double value = 0;
  alignment(ctx, a, b, scalar(value), options);
  return value;
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
