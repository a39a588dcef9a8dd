// An operand: a value and where its gradient goes. Stop-gradient is the absence of a destination.
#pragma once

#include "feaug/core/element.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// What happens to what the destination of a gradient held before.
enum class gradient_mode {
  none,        ///< There is no destination: no work is done for this side.
  overwrite,   ///< The gradient replaces it.
  accumulate,  ///< The gradient is added to it.
};

/// An input together with where its gradient goes. Make one with differentiable, accumulate or
/// stop_gradient.
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

/// `z` takes part in differentiation; its gradient replaces what `dz` (of z's shape) held.
template <class T, std::size_t Rank, memory_space Space>
constexpr auto differentiable(
    const tensor_view<T, Rank, Space>& z,
    const std::type_identity_t<tensor_view<std::remove_const_t<T>, Rank, Space>>& dz) {
  return detail::make_operand(z, dz, gradient_mode::overwrite);
}

/// As differentiable, but the gradient is added to what `dz` holds: micro-batches, several losses.
template <class T, std::size_t Rank, memory_space Space>
constexpr auto accumulate(
    const tensor_view<T, Rank, Space>& z,
    const std::type_identity_t<tensor_view<std::remove_const_t<T>, Rank, Space>>& dz) {
  return detail::make_operand(z, dz, gradient_mode::accumulate);
}

/// `z` is a constant: it gets no gradient, and the call gets cheaper.
template <class T, std::size_t Rank, memory_space Space>
constexpr auto stop_gradient(const tensor_view<T, Rank, Space>& z) {
  return detail::make_operand(z, {}, gradient_mode::none);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
