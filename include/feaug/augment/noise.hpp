// Noise: x + σ·ε.
#pragma once

#include <cmath>
#include <string_view>
#include <type_traits>

#include "feaug/augment/augmentation.hpp"
#include "feaug/augment/elementwise.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/row_selection.hpp"
#include "feaug/cpu/core/draws.hpp"
#include "feaug/cpu/core/put_gradient.hpp"
#include "feaug/cpu/core/rows.hpp"
#include "feaug/cpu/core/streaming.hpp"
#include "feaug/cpu/core/unit_rows.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// What the scale of a noise is measured in.
enum class noise_scale {
  absolute,  ///< σ = scale
  row_norm,  ///< σ = scale · ‖x_row‖, a constant as far as gradients go
};

/// ε standard normal. The gradient is g.
struct gaussian_noise {
  float scale = 0.05F;
  noise_scale relative_to = noise_scale::absolute;
};

/// ε uniform in [−1, 1). The gradient is g.
struct uniform_noise {
  float scale = 0.05F;
  noise_scale relative_to = noise_scale::absolute;
};

/// A noise that was drawn before: epsilon N × D.
template <element T, memory_space Space = memory_space::host>
struct drawn_noise_policy {
  matrix_view<const T, Space> epsilon;
  float scale = 0.05F;
  noise_scale relative_to = noise_scale::absolute;
};

template <class T, memory_space S>
drawn_noise_policy<std::remove_const_t<T>, S> drawn_noise(
    const matrix_view<T, S>& epsilon, float scale,
    noise_scale relative_to = noise_scale::absolute) {
  return {.epsilon = epsilon, .scale = scale, .relative_to = relative_to};
}

namespace detail {

/// visit(first, count, ε of column first + j) over runs of a row's columns.
template <class Visit>
void noise_row(const cpu_context& ctx, const gaussian_noise& /*policy*/, const random_key& key,
               index_t row, index_t cols, const Visit& visit) {
  cpu::for_each_run_of_draws<normal_draw>(
      ctx, key, row, cols, [&](index_t first, index_t count, const auto& draw_of) {
        visit(first, count, [&](index_t j) { return draw_of(j).value; });
      });
}

template <class Visit>
void noise_row(const cpu_context& ctx, const uniform_noise& /*policy*/, const random_key& key,
               index_t row, index_t cols, const Visit& visit) {
  // 2u − 1 is exact: u has 24 bits.
  cpu::for_each_run_of_draws<uniform_draw>(
      ctx, key, row, cols, [&](index_t first, index_t count, const auto& draw_of) {
        visit(first, count, [&](index_t j) { return 2.0F * draw_of(j).value - 1.0F; });
      });
}

template <element T, class Visit>
void noise_row(const cpu_context& /*ctx*/, const drawn_noise_policy<T>& policy,
               const random_key& /*key*/, index_t row, index_t cols, const Visit& visit) {
  const T* const epsilon = policy.epsilon.row(row);
  visit(index_t{0}, cols, [epsilon](index_t j) { return load(epsilon[j]); });
}

/// visit(j, ε) for every column of one row.
template <class P, class Visit>
void for_each_noise(const cpu_context& ctx, const P& policy, const random_key& key, index_t row,
                    index_t cols, const Visit& visit) {
  noise_row(ctx, policy, key, row, cols, [&](index_t first, index_t count, const auto& epsilon) {
    for (index_t j = 0; j < count; ++j) visit(first + j, epsilon(j));
  });
}

inline void check_noise_scale(std::string_view op, float scale) {
  if (scale >= 0.0F && std::isfinite(scale)) return;
  check::fail(op, "scale", check::text(scale), "a finite number of at least 0");
}

/// What is added to x does not depend on it: the gradient is g.
struct passes_gradient : augmentation_defaults {
  template <class P, element T>
  static void backward(cpu_context& ctx, const P& /*policy*/, const operand<T>& x,
                       const random_key& /*key*/, const row_selection& selection,
                       matrix_view<const T> grad_out) {
    const bool past_caches = cpu::streams_gradient(x, grad_out);
    cpu::for_each_row(ctx, x.value.rows(), x.value.cols(), selection, [&](index_t i, int) {
      const T* const gradient = grad_out.row(i);
      cpu::put_gradient(
          x, i, [gradient](index_t j) { return load(gradient[j]); }, past_caches);
    });
  }
};

/// What all noises do with a row of ε.
template <class P>
struct noise_traits : passes_gradient {
  static void validate(const P& policy, index_t rows, index_t cols) {
    constexpr std::string_view op = augmentation_traits<P>::name;
    check_noise_scale(op, policy.scale);
    if constexpr (requires { policy.epsilon; }) {
      check::readable(op, "epsilon", policy.epsilon);
      check::has_shape(op, "epsilon", policy.epsilon, rows, cols, "x");
    }
  }

  template <class T, memory_space S>
  static void check_forward(const P& policy, const matrix_view<T, S>& out, bool /*alone*/) {
    if constexpr (requires { policy.epsilon; }) {
      check::apart(augmentation_traits<P>::name, "out", out, "epsilon", policy.epsilon);
    }
  }

  template <element T>
  static void forward(cpu_context& ctx, const P& policy, matrix_view<const T> x,
                      const random_key& key, const row_selection& selection, matrix_view<T> out) {
    using C = compute_t<T>;
    const bool past_caches = cpu::worth_streaming(out, x);
    cpu::for_each_row(ctx, x.rows(), x.cols(), selection, [&](index_t i, int) {
      auto sigma = static_cast<C>(policy.scale);
      if (policy.relative_to == noise_scale::row_norm) {
        sigma = static_cast<C>(static_cast<double>(policy.scale) * row_norm(x.row(i), x.cols()));
      }
      if constexpr (std::same_as<P, gaussian_noise> && std::same_as<T, float>) {
        cpu::add_normal_row(ctx, key, i, x.cols(), x.row(i), sigma, out.row(i), past_caches);
      } else {
        noise_row(ctx, policy, key, i, x.cols(),
                  [&](index_t first, index_t count, const auto& epsilon) {
                    const T* const source = x.row(i) + first;
                    cpu::write_elements(out.row(i) + first, count, past_caches, [&](index_t j) {
                      return load(source[j]) + sigma * static_cast<C>(epsilon(j));
                    });
                  });
      }
    });
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
struct augmentation_traits<drawn_noise_policy<U, S>>
    : detail::noise_traits<drawn_noise_policy<U, S>> {
  static constexpr std::string_view name = "drawn_noise";
  static constexpr int streams = 0;
};

/// The ε that a noise draws from the key, N × D, before scaling: drawn_noise(epsilon, scale) then
/// does what the noise would.
template <class P, element T>
requires std::same_as<P, gaussian_noise> || std::same_as<P, uniform_noise>
void draw(cpu_context& ctx, const P& policy, const random_key& key, matrix_view<T> epsilon) {
  check::writable("draw", "epsilon", epsilon);
  check::usable("draw", key, epsilon.rows(), epsilon.cols(), augmentation_traits<P>::streams);
  augmentation_traits<P>::validate(policy, epsilon.rows(), epsilon.cols());
  cpu::for_each_row(ctx, epsilon.rows(), epsilon.cols(), {}, [&](index_t i, int) {
    detail::noise_row(
        ctx, policy, key, i, epsilon.cols(), [&](index_t first, index_t count, const auto& drawn) {
          cpu::write_elements(epsilon.row(i) + first, count, false,
                              [&](index_t j) { return static_cast<compute_t<T>>(drawn(j)); });
        });
  });
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
