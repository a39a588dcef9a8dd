// The two functions of every augmentation: augment and augment_backward.
//
// ```cpp
// const feaug::mask policy{.keep_probability = 0.8F};
// feaug::augment(ctx, policy, x, key, out);
// feaug::augment_backward(ctx, policy, differentiable(x, dx), key, grad_out);
// ```
//
// Nothing is stored between the two: the backward pass regenerates the draws from the same key.
#pragma once

#include "feaug/header_begin.hpp"

#include <concepts>
#include <string_view>
#include <type_traits>

#include "feaug/augment/backward_views.hpp"
#include "feaug/core/any_context.hpp"
#include "feaug/core/call_memory.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/row_selection.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// The properties of an augmentation of type P in every context. Each augmentation specialises it;
/// a user-defined element-wise augmentation needs no specialisation (see augment/elementwise.hpp).
/// A specialisation derives from augmentation_defaults and has
///   static constexpr std::string_view name;   // starts every error message
///   static constexpr int streams;             // consecutive key.streams that it draws from
///   static void validate(const P&, index_t rows, index_t cols);   // throws for bad options
/// where x is rows × cols.
template <class P>
struct augmentation_traits;

/// The implementation of an augmentation of type P in a context. feaug/cpu/augment and
/// feaug/cuda/augment specialise it for cpu_context and cuda_context. Augmentations that run in any
/// context, such as those composed of others, have the same two functions in their traits:
///   static void forward(Context&, const P&, matrix_view<const T> x, const random_key&,
///                       const row_selection&, matrix_view<T> out);   // writes the selected rows
///   static void backward(Context&, const P&, const operand<T>& x, const random_key&,
///                        const row_selection&, matrix_view<const T> grad_out);   // reads them
/// on views of the context's memory. backward writes the gradient of x only for the selected rows,
/// or for every row if mixes_rows.
template <class Context, class P>
struct augmentation_on : augmentation_traits<P> {};

namespace check {

/// Checks that what a call writes overlaps neither the memory of its policy nor another argument.
/// `others` are the other arguments. augment's out is not among them: check_forward compares it,
/// because it may be a partner.
template <class P>
void policy_apart(const P& policy, call_memory others) {
  augmentation_traits<P>::add_memory(policy, others);
  others.require_apart();
}

}  // namespace check

/// The defaults for augmentation_traits.
struct augmentation_defaults {
  /// An output row reads other rows of x, so out must not overlap x, nor the gradients each other.
  static constexpr bool mixes_rows = false;
  /// backward reads x.value (and not only its shape).
  static constexpr bool backward_reads_value = false;
  /// Whether the policy holds a gradient destination, for example that of a partner.
  template <class P>
  static bool wants_gradient(const P& /*policy*/) {
    return false;
  }
  /// Adds the memory that the policy refers to, such as a partner, to the arguments of a call.
  template <class P>
  static void add_memory(const P& /*policy*/, check::call_memory& /*memory*/) {}
  /// Checks that memory referred to by the policy does not overlap `out`. An augmentation may permit
  /// that it is exactly `out` if `alone` (the policy is not one of several steps).
  template <class P, class T, memory_space S>
  static void check_forward(const P& policy, const matrix_view<T, S>& out, bool /*alone*/) {
    check::policy_apart(policy,
                        check::call_memory(augmentation_traits<P>::name).writes("out", out));
  }
  /// Checks that destinations held by the policy have the right shape and do not overlap x and
  /// grad_out.
  template <class P, class T, memory_space S>
  static void check_backward(const P& /*policy*/, const operand<T, 2, S>& /*x*/,
                             const matrix_view<const T, S>& /*grad_out*/) {}
};

/// A type accepted by augment and augment_backward.
template <class P>
concept augmentation = requires(const P& policy, index_t n) {
  { augmentation_traits<P>::name } -> std::convertible_to<std::string_view>;
  { augmentation_traits<P>::streams } -> std::convertible_to<int>;
  augmentation_traits<P>::validate(policy, n, n);
};

namespace detail {

/// Whether the header that implements P for Context is included.
template <class Context, class P, class T>
concept carried_out = requires(Context& ctx, const P& policy,
                               matrix_view<const T, Context::space> x, const random_key& key,
                               const row_selection& rows, matrix_view<T, Context::space> out) {
  augmentation_on<Context, P>::forward(ctx, policy, x, key, rows, out);
};

/// A compile error that names the missing headers if Context has no implementation of P.
template <class Context, class P, class T>
constexpr void require_carried_out() {
  static_assert(carried_out<Context, P, T>,
                "include feaug/cpu/augment/… or feaug/cuda/augment/… of this augmentation");
}

/// The checks of a `draw` other than those of its output, for features of this shape.
template <any_context Context, class P>
void check_draw(const P& policy, const random_key& key, index_t rows, index_t cols) {
  check::usable("draw", key, rows, cols, augmentation_traits<P>::streams, Context::space);
  augmentation_traits<P>::validate(policy, rows, cols);
}

}  // namespace detail

/// The number of consecutive streams, starting at key.stream, that an augmentation draws from. The
/// caller's next free stream is key.streams_later(stream_count<P>).
template <augmentation P>
inline constexpr int stream_count = augmentation_traits<P>::streams;

/// Writes the augmented x to out.
///
/// * x, out: N×D. out may be x itself (same pointer, same strides) unless the augmentation reads
/// other rows of x (a permuted partner); any other overlap is an error.
/// * key: selects the draws; the augmentation's streams start at key.stream. Row i uses the draws
/// of global row key.row_offset + i.
///
/// Throws argument_error, before anything is written, for bad options, shapes, strides, null
/// pointers, overlaps or keys. Rows that hold NaN stay NaN.
template <any_context Context, augmentation P, element T>
void augment(Context& ctx, const P& policy,
             std::type_identity_t<matrix_view<const T, Context::space>> x, const random_key& key,
             matrix_view<T, Context::space> out) {
  detail::require_carried_out<Context, P, T>();
  using traits = augmentation_traits<P>;
  constexpr std::string_view op = traits::name;
  check::readable(op, "x", x);
  check::writable(op, "out", out);
  check::has_shape(op, "out", out, x.rows(), x.cols(), "x");
  if constexpr (traits::mixes_rows) {
    check::apart(op, "out", out, "x", x);
  } else {
    check::apart_or_same(op, "out", out, "x", x);
  }
  check::usable(op, key, x.rows(), x.cols(), traits::streams, Context::space);
  traits::validate(policy, x.rows(), x.cols());
  traits::check_forward(policy, out, true);
  check::policy_apart(policy, check::call_memory(op).reads("x", x));
  if (x.empty()) return;
  require_reachable(ctx, op, "x", x);
  require_reachable(ctx, op, "out", out);
  augmentation_on<Context, P>::forward(ctx, policy, x, key, row_selection{}, out);
}

/// The gradient with respect to x (and to a differentiable partner in the policy), from the
/// gradient with respect to augment's out.
///
/// * x: the value that augment read and the destination of its gradient (overwrite, accumulate or
/// stopped), N×D.
/// * key: the key that was passed to augment.
/// * grad_out: N×D. It may be x.gradient itself in overwrite mode unless the augmentation reads
/// other rows of x; any other overlap is an error.
///
/// Throws like augment.
template <any_context Context, augmentation P, element T>
void augment_backward(Context& ctx, const P& policy, const operand<T, 2, Context::space>& x,
                      const random_key& key,
                      std::type_identity_t<matrix_view<const T, Context::space>> grad_out) {
  detail::require_carried_out<Context, P, T>();
  using traits = augmentation_traits<P>;
  constexpr std::string_view op = traits::name;
  check::backward_views(op, x, grad_out, /*may_be_same=*/!traits::mixes_rows);
  check::usable(op, key, x.value.rows(), x.value.cols(), traits::streams, Context::space);
  traits::validate(policy, x.value.rows(), x.value.cols());
  traits::check_backward(policy, x, grad_out);
  check::call_memory memory(op);
  if (x.wants_gradient()) memory.writes("gradient of x", x.gradient);
  check::policy_apart(policy, memory);
  if (x.value.empty() || (!x.wants_gradient() && !traits::wants_gradient(policy))) return;
  require_reachable(ctx, op, "x", x.value);
  if (x.wants_gradient()) require_reachable(ctx, op, "gradient of x", x.gradient);
  require_reachable(ctx, op, "grad_out", grad_out);
  augmentation_on<Context, P>::backward(ctx, policy, x, key, row_selection{}, grad_out);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
