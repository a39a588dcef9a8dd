// Element-wise augmentations: a functor of (value, draw). Write one, and augment runs it on every
// backend.
//
//     struct salt {                                            // turns a share of the features
//     into 1
//       static constexpr std::string_view name = "salt";       // opens error messages
//       using draw = feaug::uniform_draw;                      // or normal_draw, or no_draw
//       float share = 0.1F;
//       template <class C> FEAUG_HD C forward(C x, draw d) const { return d.value < share ? C{1} :
//       x; } template <class C> FEAUG_HD C backward(C g, C x, draw d) const { return d.value <
//       share ? C{0} : g; }
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
#include "feaug/augment/backward_views.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/random_normal.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Nothing random.
struct no_draw {};
/// Uniform in [0, 1).
struct uniform_draw {
  float value;
};
/// Standard normal.
struct normal_draw {
  float value;
};

template <class P>
concept elementwise_augmentation =
    (std::same_as<typename P::draw, no_draw> || std::same_as<typename P::draw, uniform_draw> ||
     std::same_as<typename P::draw, normal_draw>)&&requires(const P& policy, float x,
                                                            typename P::draw d) {
  { policy.forward(x, d) } -> std::same_as<float>;
  { policy.backward(x, x, d) } -> std::same_as<float>;
  { P::name } -> std::convertible_to<std::string_view>;
};

namespace detail {

/// The draws of columns 4·block … 4·block + 3 of a row.
template <class Draw>
FEAUG_HD void draw_four(const random_key& key, index_t row, std::uint32_t block,
                        float (&values)[4]) {
  const random_block drawn = draw_block(key, row, block);
  if constexpr (std::same_as<Draw, uniform_draw>) {
    for (int lane = 0; lane < 4; ++lane) values[lane] = uniform_from_word(drawn.words[lane]);
  } else {
    for (int lane = 0; lane < 4; lane += 2) {
      const normal_pair pair = normal_from_words(drawn.words[lane], drawn.words[lane + 1]);
      values[lane] = pair.even;
      values[lane + 1] = pair.odd;
    }
  }
}

}  // namespace detail

namespace cpu {

/// visit(j, draw) for every column of a row. Draws come four columns at a time, as Philox makes
/// them.
template <class Draw, class Visit>
void for_each_draw(const random_key& key, index_t row, index_t cols, const Visit& visit) {
  if constexpr (std::same_as<Draw, no_draw>) {
    for (index_t j = 0; j < cols; ++j) visit(j, no_draw{});
  } else {
    for (index_t first = 0; first < cols; first += 4) {
      float values[4];
      feaug::detail::draw_four<Draw>(key, row, static_cast<std::uint32_t>(first / 4), values);
      const index_t count = std::min<index_t>(4, cols - first);
      for (index_t lane = 0; lane < count; ++lane) visit(first + lane, Draw{values[lane]});
    }
  }
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
    cpu::for_each_row(ctx, x.rows(), x.cols(), selection, [&](index_t i, int) {
      const T* source = x.row(i);
      T* destination = out.row(i);
      cpu::for_each_draw<draw>(key, i, x.cols(), [&](index_t j, draw d) {
        destination[j] = store<T>(policy.forward(load(source[j]), d));
      });
    });
  }

  template <element T>
  static void backward(cpu_context& ctx, const P& policy, const operand<T>& x,
                       const random_key& key, const row_selection& selection,
                       matrix_view<const T> grad_out) {
    using C = compute_t<T>;
    workspace::scope scope(ctx.workspace);
    const cpu::row_buffers<C> gradients(ctx, scope, x.value.cols());
    cpu::for_each_row(ctx, x.value.rows(), x.value.cols(), selection, [&](index_t i, int worker) {
      C* gradient = gradients.of(worker);
      cpu::for_each_draw<draw>(key, i, x.value.cols(), [&](index_t j, draw d) {
        gradient[j] = policy.backward(load(grad_out(i, j)), load(x.value(i, j)), d);
      });
      cpu::put_gradient(x, i, [&](index_t j) { return gradient[j]; });
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
