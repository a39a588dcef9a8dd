// Additive noise x + σ·ε: gaussian_noise, uniform_noise, noise_from.
#pragma once

#include "feaug/header_begin.hpp"

#include <concepts>
#include <string_view>
#include <type_traits>

#include "feaug/augment/augmentation.hpp"
#include "feaug/core/any_context.hpp"
#include "feaug/core/call_memory.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/finite.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// The unit of a noise's scale.
enum class noise_scale {
  absolute,  ///< σ = scale
  row_norm,  ///< σ = scale · ‖x_row‖, treated as a constant in the backward pass
};

/// ε standard normal. The gradient with respect to x is g, that of the output.
struct gaussian_noise {
  float scale = 0.05F;
  noise_scale relative_to = noise_scale::absolute;
};

/// ε uniform in [−1, 1). The gradient with respect to x is g, that of the output.
struct uniform_noise {
  float scale = 0.05F;
  noise_scale relative_to = noise_scale::absolute;
};

/// Noise with given draws: epsilon is N × D.
template <element T, memory_space Space = memory_space::host>
struct noise_from_policy {
  matrix_view<const T, Space> epsilon;
  float scale = 0.05F;
  noise_scale relative_to = noise_scale::absolute;
};

template <class T, memory_space S>
noise_from_policy<std::remove_const_t<T>, S> noise_from(
    const matrix_view<T, S>& epsilon, float scale,
    noise_scale relative_to = noise_scale::absolute) {
  return {.epsilon = epsilon, .scale = scale, .relative_to = relative_to};
}

namespace detail {

inline void check_noise_scale(std::string_view op, float scale) {
  if (scale >= 0.0F && feaug::detail::is_finite(scale)) return;
  check::fail(op, "scale", check::text(scale), "a finite number of at least 0");
}

/// Argument checks shared by all noises.
template <class P>
struct noise_traits : augmentation_defaults {
  static void validate(const P& policy, index_t rows, index_t cols) {
    constexpr std::string_view op = augmentation_traits<P>::name;
    check_noise_scale(op, policy.scale);
    if constexpr (requires { policy.epsilon; }) {
      check::readable(op, "epsilon", policy.epsilon);
      check::has_shape(op, "epsilon", policy.epsilon, rows, cols, "x");
    }
  }

  static void add_memory(const P& policy, check::call_memory& memory) {
    if constexpr (requires { policy.epsilon; }) memory.reads("epsilon", policy.epsilon);
  }
};

}  // namespace detail

template <>
struct augmentation_traits<gaussian_noise> : detail::noise_traits<gaussian_noise> {
  static constexpr std::string_view name = "gaussian_noise";
  static constexpr int streams = 1;
};

template <>
struct augmentation_traits<uniform_noise> : detail::noise_traits<uniform_noise> {
  static constexpr std::string_view name = "uniform_noise";
  static constexpr int streams = 1;
};

template <element U, memory_space S>
struct augmentation_traits<noise_from_policy<U, S>>
    : detail::noise_traits<noise_from_policy<U, S>> {
  static constexpr std::string_view name = "noise_from";
  static constexpr int streams = 0;
};

namespace detail {

/// A context's implementation: draw, called with checked arguments.
template <class Context>
struct noise_on {
  static_assert(is_included<Context>,
                "include feaug/cpu/augment/noise.hpp or feaug/cuda/augment/noise.cuh");
};

}  // namespace detail

/// Writes the ε that a noise draws from the key, N × D, before scaling; noise_from(epsilon, scale)
/// then equals the noise.
template <any_context Context, class P, element T>
requires std::same_as<P, gaussian_noise> || std::same_as<P, uniform_noise>
void draw(Context& ctx, const P& policy, const random_key& key,
          matrix_view<T, Context::space> epsilon) {
  constexpr std::string_view op = "draw";
  check::writable(op, "epsilon", epsilon);
  detail::check_draw<Context>(policy, key, epsilon.rows(), epsilon.cols());
  if (epsilon.empty()) return;
  require_reachable(ctx, op, "epsilon", epsilon);
  detail::noise_on<Context>::template draw<T>(ctx, policy, key, epsilon);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
