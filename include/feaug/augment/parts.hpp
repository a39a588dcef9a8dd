// What augmentations that are made of others share.
#pragma once

#include "feaug/header_begin.hpp"

#include <tuple>

#include "feaug/augment/augmentation.hpp"
#include "feaug/core/call_memory.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::detail {

/// Traits of a policy whose member `parts` is a tuple of augmentations.
template <augmentation... Ps>
struct parts_traits : augmentation_defaults {
  static constexpr bool mixes_rows = (augmentation_traits<Ps>::mixes_rows || ...);
  static constexpr bool backward_reads_value =
      (augmentation_traits<Ps>::backward_reads_value || ...);

  template <class Policy>
  static bool wants_gradient(const Policy& policy) {
    return std::apply(
        [](const Ps&... part) { return (augmentation_traits<Ps>::wants_gradient(part) || ...); },
        policy.parts);
  }
  template <class Policy>
  static void validate(const Policy& policy, index_t rows, index_t cols) {
    std::apply(
        [&](const Ps&... part) { (augmentation_traits<Ps>::validate(part, rows, cols), ...); },
        policy.parts);
  }
  template <class Policy>
  static void add_memory(const Policy& policy, check::call_memory& memory) {
    std::apply([&](const Ps&... part) { (augmentation_traits<Ps>::add_memory(part, memory), ...); },
               policy.parts);
  }
  template <class Policy, class T, memory_space S>
  static void check_forward(const Policy& policy, const matrix_view<T, S>& out, bool alone) {
    std::apply(
        [&](const Ps&... part) { (augmentation_traits<Ps>::check_forward(part, out, alone), ...); },
        policy.parts);
  }
  template <class Policy, class T, memory_space S>
  static void check_backward(const Policy& policy, const operand<T, 2, S>& x,
                             const matrix_view<const T, S>& grad_out) {
    std::apply(
        [&](const Ps&... part) {
          (augmentation_traits<Ps>::check_backward(part, x, grad_out), ...);
        },
        policy.parts);
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::detail

#include "feaug/header_end.hpp"
