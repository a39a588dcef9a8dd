// Element-wise augmentations: functors of (value, draw). augment runs a user-defined functor on
// every backend.
//
// ```cpp
// struct salt {                                       // sets a share of the features to 1
//   static constexpr std::string_view name = "salt";  // starts error messages
//   using draw = feaug::uniform_draw;                 // or normal_draw, or no_draw
//   float share = 0.1F;
//   template <class C>
//   FEAUG_HD C forward(C x, draw d) const {
//     return d.value < share ? C{1} : x;
//   }
//   template <class C>
//   FEAUG_HD C backward(C g, C x, draw d) const {
//     return d.value < share ? C{0} : g;
//   }
// };
// ```
// Then: augment(ctx, salt{.share = 0.05F}, x, key, out).
//
// C is float, or double for double features. An optional member `void validate() const` may throw;
// it is called before anything is written.
#pragma once

#include "feaug/header_begin.hpp"

#include <concepts>
#include <string_view>

#include "feaug/augment/augmentation.hpp"
#include "feaug/core/draws.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/core/tensor_view.hpp"
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

template <elementwise_augmentation P>
struct augmentation_traits<P> : augmentation_defaults {
  using draw = typename P::draw;
  static constexpr std::string_view name = P::name;
  static constexpr int streams = std::same_as<draw, no_draw> ? 0 : 1;
  static constexpr bool backward_reads_value = true;

  static void validate(const P& policy, index_t /*rows*/, index_t /*cols*/) {
    if constexpr (requires { policy.validate(); }) policy.validate();
  }
};

/// The augmentation that leaves features unchanged.
struct identity {
  static constexpr std::string_view name = "identity";
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

#include "feaug/header_end.hpp"
