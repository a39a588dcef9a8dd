// The verb pair of every augmentation: augment and augment_backward.
//
//   augment(ctx, mask{.keep_probability = 0.8F}, x, key, out);
//   augment_backward(ctx, mask{.keep_probability = 0.8F}, differentiable(x, dx), key, grad_out);
//
// Nothing is stored between the two: the backward pass draws the same numbers from the same key.
#pragma once

#include <concepts>
#include <string_view>
#include <type_traits>

#include "feaug/augment/backward_views.hpp"
#include "feaug/core/any_context.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/row_selection.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// What holds of an augmentation of type P wherever it runs. Specialised by each; a user's own
/// element-wise augmentation needs no specialisation (see augment/elementwise.hpp). Derives from
/// augmentation_defaults and has
///   static constexpr std::string_view name;   // opens every error message
///   static constexpr int streams;             // consecutive key.streams that it draws from
///   static void validate(const P&, index_t rows, index_t cols);   // throws for bad options
/// where x is rows × cols.
template <class P>
struct augmentation_traits;

/// How an augmentation of type P is carried out in a context. feaug/cpu/augment and
/// feaug/cuda/augment specialise it for cpu_context and cuda_context; what runs in any context, as
/// augmentations made of others do, has the same two functions in its traits:
///   static void forward(Context&, const P&, matrix_view<const T> x, const random_key&,
///                       const row_selection&, matrix_view<T> out);   // writes the selected rows
///   static void backward(Context&, const P&, const operand<T>& x, const random_key&,
///                        const row_selection&, matrix_view<const T> grad_out);   // reads them
/// on views of the context's memory. Without mixes_rows, backward writes the selected rows of x's
/// gradient only; with it, every row.
template <class Context, class P>
struct augmentation_on : augmentation_traits<P> {};

/// What holds for most augmentations.
struct augmentation_defaults {
  /// An output row reads other rows of x, so that out and x, and the gradients, must lie apart.
  static constexpr bool mixes_rows = false;
  /// backward reads x.value (and not only its shape).
  static constexpr bool backward_reads_value = false;
  /// Whether the policy itself holds a destination for a gradient, a partner's for example.
  template <class P>
  static bool wants_gradient(const P& /*policy*/) {
    return false;
  }
  /// Memory that the policy refers to lies apart from `out`; it may be `out` exactly if `alone`
  /// (not one of several steps).
  template <class P, class T, memory_space S>
  static void check_forward(const P& /*policy*/, const matrix_view<T, S>& /*out*/, bool /*alone*/) {
  }
  /// Destinations that the policy holds fit, and lie apart from what the backward pass reads and
  /// writes.
  template <class P, class T, memory_space S>
  static void check_backward(const P& /*policy*/, const operand<T, 2, S>& /*x*/,
                             const matrix_view<const T, S>& /*grad_out*/) {}
};

/// A type that augment and augment_backward take.
template <class P>
concept augmentation = requires(const P& policy, index_t n) {
  { augmentation_traits<P>::name } -> std::convertible_to<std::string_view>;
  { augmentation_traits<P>::streams } -> std::convertible_to<int>;
  augmentation_traits<P>::validate(policy, n, n);
};

namespace detail {

/// Whether the header that says how P is carried out in a Context is included.
template <class Context, class P, class T>
concept carried_out = requires(Context& ctx, const P& policy,
                               matrix_view<const T, Context::space> x, const random_key& key,
                               const row_selection& rows, matrix_view<T, Context::space> out) {
  augmentation_on<Context, P>::forward(ctx, policy, x, key, rows, out);
};

/// A compile error that names the headers, where this context does not carry P out.
template <class Context, class P, class T>
constexpr void require_carried_out() {
  static_assert(carried_out<Context, P, T>,
                "include feaug/cpu/augment/… or feaug/cuda/augment/… of this augmentation");
}

/// What a `draw` checks besides where it writes, for features of this shape.
template <any_context Context, class P>
void check_draw(const P& policy, const random_key& key, index_t rows, index_t cols) {
  check::usable("draw", key, rows, cols, augmentation_traits<P>::streams, Context::space);
  augmentation_traits<P>::validate(policy, rows, cols);
}

}  // namespace detail

/// How many consecutive streams, from key.stream on, an augmentation draws from: a caller's next
/// free one is key.streams_later(stream_count<P>).
template <augmentation P>
inline constexpr int stream_count = augmentation_traits<P>::streams;

/// Writes the augmented x to out.
///
/// * x, out: N×D. out may be x itself (same pointer, same strides) unless the augmentation reads
/// other rows of x (a permuted partner); any other overlap is an error.
/// * key: the draws; the augmentation's streams start at key.stream. Row i draws as global row
/// key.row_offset + i.
///
/// Throws argument_error, before anything is written, for bad options, shapes, strides, null
/// pointers, overlaps or keys. Rows that hold NaN stay NaN.
template <any_context Context, augmentation P, element T>
void augment(Context& ctx, const P& policy,
             matrix_view<const std::type_identity_t<T>, Context::space> x, const random_key& key,
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
  if (x.empty()) return;
  require_reachable(ctx, op, "x", x);
  require_reachable(ctx, op, "out", out);
  augmentation_on<Context, P>::forward(ctx, policy, x, key, row_selection{}, out);
}

/// The gradient by x (and by a differentiable partner in the policy), from the gradient by
/// augment's out.
///
/// * x: the value that augment read and where its gradient goes (overwrite, accumulate or stopped),
/// N×D.
/// * key: the one that augment was given.
/// * grad_out: N×D. It may be x.gradient itself in overwrite mode unless the augmentation reads
/// other rows of x; any other overlap is an error.
///
/// Throws as augment does.
template <any_context Context, augmentation P, element T>
void augment_backward(Context& ctx, const P& policy, const operand<T, 2, Context::space>& x,
                      const random_key& key,
                      matrix_view<const std::type_identity_t<T>, Context::space> grad_out) {
  detail::require_carried_out<Context, P, T>();
  using traits = augmentation_traits<P>;
  constexpr std::string_view op = traits::name;
  check::backward_views(op, x, grad_out, /*may_be_same=*/!traits::mixes_rows);
  check::usable(op, key, x.value.rows(), x.value.cols(), traits::streams, Context::space);
  traits::validate(policy, x.value.rows(), x.value.cols());
  traits::check_backward(policy, x, grad_out);
  if (x.value.empty() || (!x.wants_gradient() && !traits::wants_gradient(policy))) return;
  require_reachable(ctx, op, "x", x.value);
  if (x.wants_gradient()) require_reachable(ctx, op, "gradient of x", x.gradient);
  require_reachable(ctx, op, "grad_out", grad_out);
  augmentation_on<Context, P>::backward(ctx, policy, x, key, row_selection{}, grad_out);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
