// What all noises share: out = x + σ·ε. Each noise only says what ε is.
#pragma once

#include <cmath>
#include <string_view>
#include <type_traits>

#include "feaug/augment/augmentation.hpp"
#include "feaug/cpu/unit_rows.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// What a noise's scale is measured in.
enum class noise_scale {
  absolute,  ///< σ = scale
  row_norm,  ///< σ = scale · ‖x_i‖₂, a constant for the gradient
};

/// A policy that fills a row with ε.
template <class P>
concept noising = requires(const P& policy, const random_key& key, index_t n, float* epsilon) {
  { policy.scale } -> std::convertible_to<float>;
  { policy.relative_to } -> std::convertible_to<noise_scale>;
  policy.check(n, n);
  policy.epsilon_row(key, n, n, epsilon);
};

/// The gradient is g, whatever was drawn, so the backward pass draws nothing. Scratch: D numbers a thread.
template <noising P>
struct augmentation_traits<P> : augmentation_defaults {
  static constexpr std::string_view name = P::name;
  static constexpr int streams = P::streams;

  static void check(const P& policy, index_t rows, index_t cols) {
    if (!(policy.scale >= 0 && std::isfinite(policy.scale))) {
      check::fail(name, "scale", check::text(policy.scale), "a finite number of at least 0");
    }
    policy.check(rows, cols);
  }

  template <class T>
  static void check_forward(const P& policy, const matrix_view<T>& out, bool /*alone*/) {
    if constexpr (requires { policy.epsilon; }) {
      check::apart(name, "out", out, "epsilon", policy.epsilon);
    }
  }

  template <element T>
  static void forward(cpu_context& ctx, const P& policy, matrix_view<const T> x,
                      const random_key& key, const row_selection& rows, matrix_view<T> out) {
    using C = compute_t<T>;
    const index_t cols = x.cols();
    workspace::scope scope(ctx.workspace);
    const cpu::row_buffers<C> epsilons(ctx, scope, cols);
    cpu::for_each_row(ctx, x.rows(), cols, rows, [&](index_t i, int worker) {
      const T* value = x.row(i);
      T* result = out.row(i);
      C* epsilon = epsilons.of(worker);
      policy.epsilon_row(key, i, cols, epsilon);
      double sigma = double{policy.scale};
      if (policy.relative_to == noise_scale::row_norm) sigma *= cpu::row_norm(value, cols);
      const auto scale = static_cast<C>(sigma);
      for (index_t j = 0; j < cols; ++j) {
        result[j] = store<T>(load(value[j]) + scale * epsilon[j]);
      }
    });
  }

  template <element T>
  static void backward(cpu_context& ctx, const P& /*policy*/, const operand<T>& x,
                       const random_key& /*key*/, const row_selection& rows,
                       matrix_view<const T> grad_out) {
    cpu::for_each_row(ctx, x.value.rows(), x.value.cols(), rows, [&](index_t i, int) {
      const T* gradient = grad_out.row(i);
      cpu::put_gradient(x, i, [&](index_t j) { return load(gradient[j]); });
    });
  }
};

/// Writes a noise's own ε, before its scale, to epsilon (N×D). augment with drawn_noise(epsilon, …) of the same scale gives
/// the same bits as with the policy and the key, if epsilon is float (double for double features).
template <noising P, element T>
void draw(cpu_context& ctx, const P& policy, const random_key& key, matrix_view<T> epsilon) {
  using traits = augmentation_traits<P>;
  check::writable(traits::name, "epsilon", epsilon);
  check::usable(traits::name, key, epsilon.rows(), epsilon.cols(), traits::streams);
  traits::check(policy, epsilon.rows(), epsilon.cols());
  if (epsilon.empty()) return;
  const index_t cols = epsilon.cols();
  workspace::scope scope(ctx.workspace);
  const cpu::row_buffers<compute_t<T>> buffers(ctx, scope, cols);
  cpu::for_each_row(ctx, epsilon.rows(), cols, {}, [&](index_t i, int worker) {
    auto* row = buffers.of(worker);
    policy.epsilon_row(key, i, cols, row);
    T* destination = epsilon.row(i);
    for (index_t j = 0; j < cols; ++j) destination[j] = store<T>(row[j]);
  });
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
