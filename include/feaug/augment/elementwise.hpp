// Augmentations whose every output element depends on one input element and one draw. This is how to write your own:
//
//   struct dropped_sign {                      // x, or −x with some probability
//     using draw = feaug::uniform_draw;
//     float probability = 0.1F;
//     template <class C>
//     FEAUG_HD C forward(C value, C u) const { return u < C{probability} ? -value : value; }
//     template <class C>
//     FEAUG_HD C backward(C gradient, C value, C u) const { return u < C{probability} ? -gradient : gradient; }
//   };
//
// That type is an augmentation: augment, augment_backward, compose and one_of take it.
#pragma once

#include <algorithm>
#include <concepts>
#include <string_view>
#include <type_traits>

#include "feaug/augment/augmentation.hpp"
#include "feaug/cpu/draw_rows.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// A number of [0, 1) for every element.
struct uniform_draw {};
/// A standard normal number for every element.
struct normal_draw {};
/// Nothing is drawn: functors are given 0.
struct no_draw {};

/// A trivially copyable type with
///   using draw = uniform_draw, normal_draw or no_draw
///   C forward(C value, C drawn) const                 the output element
///   C backward(C gradient, C value, C drawn) const    the gradient by value, given that by the output element
/// for C float and double (float also serves half and bfloat16), marked FEAUG_HD to run on the GPU too. It may also have
///   static constexpr std::string_view name            what error messages begin with; "augment" otherwise
///   void check() const                                throws argument_error for bad options
///   static constexpr bool backward_reads_value        false saves compose the work of recomputing `value`
template <class P>
concept elementwise_augmentation =
    std::is_trivially_copyable_v<P> &&
    (std::same_as<typename P::draw, uniform_draw> || std::same_as<typename P::draw, normal_draw> ||
     std::same_as<typename P::draw, no_draw>) &&
    requires(const P& policy, float f, double d) {
      { policy.forward(f, f) } -> std::same_as<float>;
      { policy.forward(d, d) } -> std::same_as<double>;
      { policy.backward(f, f, f) } -> std::same_as<float>;
      { policy.backward(d, d, d) } -> std::same_as<double>;
    };

namespace cpu {

/// The draws of one row for an element-wise augmentation.
template <class Draw, class C>
void fill_draws(const random_key& key, index_t row, index_t cols, C* draws) {
  if constexpr (std::same_as<Draw, uniform_draw>) {
    draw_uniform_row(key, row, cols, draws);
  } else if constexpr (std::same_as<Draw, normal_draw>) {
    draw_normal_row(key, row, cols, draws);
  } else {
    std::fill_n(draws, cols, C{0});
  }
}

}  // namespace cpu

/// Scratch: D numbers a thread.
template <elementwise_augmentation P>
struct augmentation_traits<P> : augmentation_defaults {
  static constexpr std::string_view name = [] {
    if constexpr (requires { P::name; }) {
      return std::string_view(P::name);
    } else {
      return std::string_view("augment");
    }
  }();
  static constexpr int streams = std::same_as<typename P::draw, no_draw> ? 0 : 1;
  static constexpr bool backward_reads_value = [] {
    if constexpr (requires { P::backward_reads_value; }) {
      return P::backward_reads_value;
    } else {
      return true;
    }
  }();

  static void check(const P& policy, index_t /*rows*/, index_t /*cols*/) {
    if constexpr (requires { policy.check(); }) policy.check();
  }

  template <element T>
  static void forward(cpu_context& ctx, const P& policy, matrix_view<const T> x,
                      const random_key& key, const row_selection& rows, matrix_view<T> out) {
    using C = compute_t<T>;
    const index_t cols = x.cols();
    workspace::scope scope(ctx.workspace);
    const cpu::row_buffers<C> draws(ctx, scope, cols);
    cpu::for_each_row(ctx, x.rows(), cols, rows, [&](index_t i, int worker) {
      const T* value = x.row(i);
      T* result = out.row(i);
      C* drawn = draws.of(worker);
      cpu::fill_draws<typename P::draw>(key, i, cols, drawn);
      for (index_t j = 0; j < cols; ++j) {
        result[j] = store<T>(policy.forward(load(value[j]), drawn[j]));
      }
    });
  }

  template <element T>
  static void backward(cpu_context& ctx, const P& policy, const operand<T>& x,
                       const random_key& key, const row_selection& rows,
                       matrix_view<const T> grad_out) {
    using C = compute_t<T>;
    const index_t cols = x.value.cols();
    workspace::scope scope(ctx.workspace);
    const cpu::row_buffers<C> draws(ctx, scope, cols);
    cpu::for_each_row(ctx, x.value.rows(), cols, rows, [&](index_t i, int worker) {
      const T* value = x.value.row(i);
      const T* gradient = grad_out.row(i);
      C* drawn = draws.of(worker);
      cpu::fill_draws<typename P::draw>(key, i, cols, drawn);
      cpu::put_gradient(x, i, [&](index_t j) {
        return policy.backward(load(gradient[j]), load(value[j]), drawn[j]);
      });
    });
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
