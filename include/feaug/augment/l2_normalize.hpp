// L2 row normalisation.
#pragma once

#include "feaug/header_begin.hpp"

#include <string_view>
#include <type_traits>

#include "feaug/augment/backward_views.hpp"
#include "feaug/core/any_context.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

struct l2_normalize_options {
  double eps =
      default_norm_eps;  ///< rows whose norm is at most eps are divided by eps, not by the norm
};

namespace detail {

/// A context's implementation: forward and backward, called with checked arguments.
template <class Context>
struct l2_normalize_on {
  static_assert(
      is_included<Context>,
      "include feaug/cpu/augment/l2_normalize.hpp or feaug/cuda/augment/l2_normalize.cuh");
};

}  // namespace detail

/// out_i = x_i / max(‖x_i‖₂, eps). Norms are accumulated in double; if the sum of squares
/// overflows, the row is scaled first, so the result is correct for huge rows too.
///
/// x, out: N×D. out may be x itself (same pointer, same strides); any other overlap is an error. A
/// row with NaN or ∞ becomes NaN. Throws argument_error before anything is written.
template <any_context Context, element T>
void l2_normalize(Context& ctx, std::type_identity_t<matrix_view<const T, Context::space>> x,
                  matrix_view<T, Context::space> out, const l2_normalize_options& options = {}) {
  constexpr std::string_view op = "l2_normalize";
  check::readable(op, "x", x);
  check::writable(op, "out", out);
  check::has_shape(op, "out", out, x.rows(), x.cols(), "x");
  check::apart_or_same(op, "out", out, "x", x);
  check::positive(op, "eps", options.eps);
  if (x.empty()) return;
  require_reachable(ctx, op, "x", x);
  require_reachable(ctx, op, "out", out);
  detail::l2_normalize_on<Context>::template forward<T>(ctx, x, out, options);
}

/// The gradient of l2_normalize with respect to x: (g − u (u·g)) / ‖x‖ with u = x / ‖x‖. For rows
/// with ‖x‖ ≤ eps, which have no direction, it is zero (a documented difference: other libraries
/// return g / eps, about 1e12 · g).
///
/// * x: the value that l2_normalize read and the destination of its gradient, N×D.
/// * grad_out: N×D. It may be x.gradient itself in overwrite mode; any other overlap is an error.
template <any_context Context, element T>
void l2_normalize_backward(Context& ctx, const operand<T, 2, Context::space>& x,
                           std::type_identity_t<matrix_view<const T, Context::space>> grad_out,
                           const l2_normalize_options& options = {}) {
  constexpr std::string_view op = "l2_normalize_backward";
  check::backward_views(op, x, grad_out, /*may_be_same=*/true);
  check::positive(op, "eps", options.eps);
  if (x.value.empty() || !x.wants_gradient()) return;
  require_reachable(ctx, op, "x", x);
  require_reachable(ctx, op, "grad_out", grad_out);
  detail::l2_normalize_on<Context>::template backward<T>(ctx, x, grad_out, options);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
