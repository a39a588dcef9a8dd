// CPU implementation of gaussian_noise and uniform_noise: x + σ·ε.
#pragma once

#include "feaug/header_begin.hpp"

#include <concepts>

#include "feaug/augment/noise.hpp"
#include "feaug/core/draws.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/row_selection.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/augment/augmentation.hpp"
#include "feaug/cpu/augment/elementwise.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/draws.hpp"
#include "feaug/cpu/core/non_temporal.hpp"
#include "feaug/cpu/core/put_gradient.hpp"
#include "feaug/cpu/core/rows.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cpu {

/// Calls visit(first, count, ε of column first + j) for runs of a row's columns.
template <class Visit>
void noise_row(const cpu_context& ctx, const gaussian_noise& /*policy*/, const random_key& key,
               index_t row, index_t cols, const Visit& visit) {
  for_each_run_of_draws<normal_draw>(
      ctx, key, row, cols, [&](index_t first, index_t count, const auto& draw_of) {
        visit(first, count, [&](index_t j) { return draw_of(j).value; });
      });
}

template <class Visit>
void noise_row(const cpu_context& ctx, const uniform_noise& /*policy*/, const random_key& key,
               index_t row, index_t cols, const Visit& visit) {
  // 2u − 1 is exact, since u has 24 bits.
  for_each_run_of_draws<uniform_draw>(
      ctx, key, row, cols, [&](index_t first, index_t count, const auto& draw_of) {
        visit(first, count, [&](index_t j) { return 2.0F * draw_of(j).value - 1.0F; });
      });
}

template <element T, class Visit>
void noise_row(const cpu_context& /*ctx*/, const noise_from_policy<T>& policy,
               const random_key& /*key*/, index_t row, index_t cols, const Visit& visit) {
  const T* const epsilon = policy.epsilon.row(row);
  visit(index_t{0}, cols, [epsilon](index_t j) { return load(epsilon[j]); });
}

/// Calls visit(j, ε) for every column of one row.
template <class P, class Visit>
void for_each_noise(const cpu_context& ctx, const P& policy, const random_key& key, index_t row,
                    index_t cols, const Visit& visit) {
  noise_row(ctx, policy, key, row, cols, [&](index_t first, index_t count, const auto& epsilon) {
    for (index_t j = 0; j < count; ++j) visit(first + j, epsilon(j));
  });
}

/// The backward pass if the added noise does not depend on x: the gradient is g.
template <class P>
struct passes_gradient_on_host : augmentation_traits<P> {
  template <element T>
  static void backward(cpu_context& ctx, const P& /*policy*/, const operand<T>& x,
                       const random_key& /*key*/, const row_selection& selection,
                       matrix_view<const T> grad_out) {
    const bool non_temporal = non_temporal_gradient(x, grad_out);
    for_each_row(ctx, x.value.rows(), x.value.cols(), selection, [&](index_t i, int) {
      const T* const gradient = grad_out.row(i);
      put_gradient(
          x, i, [gradient](index_t j) { return load(gradient[j]); }, non_temporal);
    });
  }
};

/// The loop of all noises, given noise_row. An element costs one read, one write and one draw
/// (noise_from: a read of epsilon instead).
template <class P>
struct noise_on_host : passes_gradient_on_host<P> {
  template <element T>
  static void forward(cpu_context& ctx, const P& policy, matrix_view<const T> x,
                      const random_key& key, const row_selection& selection, matrix_view<T> out) {
    using C = compute_t<T>;
    const bool non_temporal = worth_non_temporal(out, x);
    for_each_row(ctx, x.rows(), x.cols(), selection, [&](index_t i, int) {
      auto sigma = static_cast<C>(policy.scale);
      if (policy.relative_to == noise_scale::row_norm) {
        sigma = static_cast<C>(static_cast<double>(policy.scale) * row_norm(x.row(i), x.cols()));
      }
      if constexpr (std::same_as<P, gaussian_noise> && std::same_as<T, float>) {
        add_normal_row(ctx, key, i, x.cols(), x.row(i), sigma, out.row(i), non_temporal);
      } else {
        noise_row(ctx, policy, key, i, x.cols(),
                  [&](index_t first, index_t count, const auto& epsilon) {
                    const T* const source = x.row(i) + first;
                    write_elements(out.row(i) + first, count, non_temporal, [&](index_t j) {
                      return load(source[j]) + sigma * static_cast<C>(epsilon(j));
                    });
                  });
      }
    });
  }
};

}  // namespace cpu

template <>
struct augmentation_on<cpu_context, gaussian_noise> : cpu::noise_on_host<gaussian_noise> {};
template <>
struct augmentation_on<cpu_context, uniform_noise> : cpu::noise_on_host<uniform_noise> {};
template <element U>
struct augmentation_on<cpu_context, noise_from_policy<U>>
    : cpu::noise_on_host<noise_from_policy<U>> {};

template <>
struct detail::noise_on<cpu_context> {
  template <element T, class P>
  static void draw(cpu_context& ctx, const P& policy, const random_key& key,
                   const matrix_view<T>& epsilon) {
    const index_t cols = epsilon.cols();
    cpu::for_each_row(ctx, epsilon.rows(), cols, {}, [&](index_t i, int) {
      cpu::noise_row(
          ctx, policy, key, i, cols, [&](index_t first, index_t count, const auto& drawn) {
            cpu::write_elements(epsilon.row(i) + first, count, false,
                                [&](index_t j) { return static_cast<compute_t<T>>(drawn(j)); });
          });
    });
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
