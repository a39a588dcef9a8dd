// An operand: a value and the destination of its gradient. Stop-gradient means no destination.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/core/element.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// How a gradient is written to its destination.
enum class gradient_mode {
  none,        ///< No destination: this gradient is not computed.
  overwrite,   ///< The gradient overwrites the destination.
  accumulate,  ///< The gradient is added to the destination.
};

/// An input together with the destination of its gradient. Make one with differentiable, accumulate
/// or stop_gradient.
template <element T, std::size_t Rank = 2, memory_space Space = memory_space::host>
struct operand {
  tensor_view<const T, Rank, Space> value = {};
  tensor_view<T, Rank, Space> gradient = {};
  gradient_mode mode = gradient_mode::none;

  [[nodiscard]] FEAUG_HD constexpr bool wants_gradient() const {
    return mode != gradient_mode::none;
  }
};

namespace detail {
template <class T, std::size_t Rank, memory_space Space>
constexpr operand<std::remove_const_t<T>, Rank, Space> make_operand(
    const tensor_view<T, Rank, Space>& value,
    const tensor_view<std::remove_const_t<T>, Rank, Space>& gradient, gradient_mode mode) {
  return {.value = value, .gradient = gradient, .mode = mode};
}
}  // namespace detail

/// Differentiates with respect to `z`; the gradient overwrites `dz` (of z's shape).
template <class T, std::size_t Rank, memory_space Space>
constexpr auto differentiable(
    const tensor_view<T, Rank, Space>& z,
    const std::type_identity_t<tensor_view<std::remove_const_t<T>, Rank, Space>>& dz) {
  return detail::make_operand(z, dz, gradient_mode::overwrite);
}

/// Like differentiable, but the gradient is added to `dz`: for micro-batches or several losses.
template <class T, std::size_t Rank, memory_space Space>
constexpr auto accumulate(
    const tensor_view<T, Rank, Space>& z,
    const std::type_identity_t<tensor_view<std::remove_const_t<T>, Rank, Space>>& dz) {
  return detail::make_operand(z, dz, gradient_mode::accumulate);
}

/// `z` is a constant: its gradient is not computed, which makes the call cheaper.
template <class T, std::size_t Rank, memory_space Space>
constexpr auto stop_gradient(const tensor_view<T, Rank, Space>& z) {
  return detail::make_operand(z, {}, gradient_mode::none);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
