// The augmentation that changes nothing: the plain branch of one_of, the default of a training step.
#pragma once

#include <string_view>

#include "feaug/augment/elementwise.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// out = x; the gradient is g.
struct keep_features {
  using draw = no_draw;
  static constexpr std::string_view name = "keep_features";
  static constexpr bool backward_reads_value = false;

  template <class C>
  FEAUG_HD C forward(C value, C /*drawn*/) const {
    return value;
  }
  template <class C>
  FEAUG_HD C backward(C gradient, C /*value*/, C /*drawn*/) const {
    return gradient;
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
