// Element-wise augmentations: a functor of (value, draw). Write one, and augment runs it on every
// backend.
//
//     struct salt {                                       // turns a share of the features into 1
//       static constexpr std::string_view name = "salt";  // opens error messages
//       using draw = feaug::uniform_draw;                 // or normal_draw, or no_draw
//       float share = 0.1F;
//       template <class C>
//       FEAUG_HD C forward(C x, draw d) const {
//         return d.value < share ? C{1} : x;
//       }
//       template <class C>
//       FEAUG_HD C backward(C g, C x, draw d) const {
//         return d.value < share ? C{0} : g;
//       }
//     };
//     augment(ctx, salt{.share = 0.05F}, x, key, out);
//
// C is float, or double for double features. A member `void validate() const` that throws is called
// before anything is written.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include "feaug/augment/augmentation.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/random_normal.hpp"
#include "feaug/core/row_selection.hpp"
#include "feaug/cpu/core/draws.hpp"
#include "feaug/cpu/core/put_gradient.hpp"
#include "feaug/cpu/core/rows.hpp"
#include "feaug/cpu/core/streaming.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

template <class P>
concept elementwise_augmentation =
    (std::same_as<typename P::draw, no_draw> || std::same_as<typename P::draw, uniform_draw> ||
     std::same_as<typename P::draw, normal_draw>)&&requires(const P& policy, float x,
                                                            typename P::draw d) {
  { policy.forward(x, d) } -> std::same_as<float>;
  { policy.backward(x, x, d) } -> std::same_as<float>;
  { P::name } -> std::convertible_to<std::string_view>;
};

namespace cpu {

/// visit(first, count, draw_of) over runs of a row's columns; draw_of(j) is the draw of column
/// first + j.
template <class Draw, class Visit>
void for_each_run_of_draws(const cpu_context& ctx, const random_key& key, index_t row, index_t cols,
                           const Visit& visit) {
  if constexpr (std::same_as<Draw, no_draw>) {
    visit(index_t{0}, cols, [](index_t) { return no_draw{}; });
  } else {
    constexpr index_t run =
        1024;  // what is drawn, and the features beside it, stay in the L1 cache
    float values[run];
    for (index_t first = 0; first < cols; first += run) {
      const index_t count = std::min(run, cols - first);
      fill_draws<Draw>(ctx, key, row, first, count, values);
      visit(first, count, [&values](index_t j) { return Draw{values[j]}; });
    }
  }
}

/// visit(j, draw) for every column of a row.
template <class Draw, class Visit>
void for_each_draw(const cpu_context& ctx, const random_key& key, index_t row, index_t cols,
                   const Visit& visit) {
  for_each_run_of_draws<Draw>(ctx, key, row, cols,
                              [&](index_t first, index_t count, const auto& draw_of) {
                                for (index_t j = 0; j < count; ++j) visit(first + j, draw_of(j));
                              });
}

}  // namespace cpu

/// The one loop that runs them all.
template <elementwise_augmentation P>
struct augmentation_traits<P> : augmentation_defaults {
  using draw = typename P::draw;
  static constexpr std::string_view name = P::name;
  static constexpr int streams = std::same_as<draw, no_draw> ? 0 : 1;
  static constexpr bool backward_reads_value = true;

  static void validate(const P& policy, index_t /*rows*/, index_t /*cols*/) {
    if constexpr (requires { policy.validate(); }) policy.validate();
  }

  template <element T>
  static void forward(cpu_context& ctx, const P& policy, matrix_view<const T> x,
                      const random_key& key, const row_selection& selection, matrix_view<T> out) {
    const bool past_caches = cpu::worth_streaming(out, x);
    cpu::for_each_row(ctx, x.rows(), x.cols(), selection, [&](index_t i, int) {
      cpu::for_each_run_of_draws<draw>(
          ctx, key, i, x.cols(), [&](index_t first, index_t count, const auto& draw_of) {
            const T* source = x.row(i) + first;
            cpu::write_elements(out.row(i) + first, count, past_caches, [&](index_t j) {
              return policy.forward(load(source[j]), draw_of(j));
            });
          });
    });
  }

  template <element T>
  static void backward(cpu_context& ctx, const P& policy, const operand<T>& x,
                       const random_key& key, const row_selection& selection,
                       matrix_view<const T> grad_out) {
    if (!x.wants_gradient()) return;
    const bool past_caches = cpu::streams_gradient(x, grad_out);
    cpu::for_each_row(ctx, x.value.rows(), x.value.cols(), selection, [&](index_t i, int) {
      cpu::for_each_run_of_draws<draw>(
          ctx, key, i, x.value.cols(), [&](index_t first, index_t count, const auto& draw_of) {
            const T* value = x.value.row(i) + first;
            const T* gradient = grad_out.row(i) + first;
            cpu::put_gradients(x, i, first, count, past_caches, [&](index_t j) {
              return policy.backward(load(gradient[j]), load(value[j]), draw_of(j));
            });
          });
    });
  }
};

/// The augmentation that changes nothing.
struct keep_features {
  static constexpr std::string_view name = "keep_features";
  using draw = no_draw;
  template <class C>
  FEAUG_HD C forward(C x, draw /*d*/) const {
    return x;
  }
  template <class C>
  FEAUG_HD C backward(C g, C /*x*/, draw /*d*/) const {
    return g;
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
