// CPU implementation of covariance_noise: noise with the running covariance of the features.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>

#include "feaug/augment/covariance_noise.hpp"
#include "feaug/core/draws.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/row_selection.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/augment/augmentation.hpp"
#include "feaug/cpu/augment/elementwise.hpp"
#include "feaug/cpu/augment/noise.hpp"
#include "feaug/cpu/augment/running_covariance.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/parallel.hpp"
#include "feaug/cpu/core/rows.hpp"
#include "feaug/cpu/core/scaled_rows.hpp"
#include "feaug/cpu/core/workspace.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cpu {

/// Calls put(i, noise) for every selected row, where noise is a row of L·n. Limited by FLOP: D²/2
/// multiply-adds a row.
template <class C, class Put>
void for_each_covariance_noise(cpu_context& ctx, const running_covariance<>& state,
                               const random_key& key, index_t rows, index_t cols,
                               const row_selection& selection, const Put& put) {
  constexpr index_t at_once = 8;  // rows that share each read of the factor
  constexpr index_t step = 4;     // columns of the factor that add_scaled_rows takes together
  workspace::scope scope(ctx.workspace);
  auto* transposed = scope.take<C>(cols * cols);  // the transposed factor, in compute type
  for_each_row_block(ctx, cols, cols, [&](index_t begin, index_t count, int) {
    for (index_t k = begin; k < begin + count; ++k) {
      for (index_t j = 0; j < cols; ++j)
        transposed[k * cols + j] = static_cast<C>(state.factor(j, k));
    }
  });
  const row_buffers<C> buffers(ctx, scope, 2 * at_once * cols);
  for_each_row_block(ctx, rows, cols, [&](index_t begin, index_t count, int worker) {
    C* const drawn = buffers.of(worker);
    C* const noise = drawn + at_once * cols;
    for (index_t i = begin; i < begin + count;) {
      index_t chosen[at_once];
      index_t some = 0;
      for (; i < begin + count && some < at_once; ++i) {
        if (selection.contains(i)) chosen[some++] = i;
      }
      for (index_t r = 0; r < some; ++r) {
        for_each_draw<normal_draw>(ctx, key, chosen[r], cols, [&](index_t j, normal_draw d) {
          drawn[r * cols + j] = static_cast<C>(d.value);
        });
      }
      std::fill_n(noise, some * cols, C{0});
      for (index_t k = 0; k < cols; k += step) {
        for (index_t r = 0; r < some; ++r) {
          add_scaled_rows(noise + r * cols + k, cols - k, drawn + r * cols + k, 1,
                          transposed + k * cols + k, cols, std::min(step, cols - k));
        }
      }
      for (index_t r = 0; r < some; ++r) put(chosen[r], noise + r * cols);
    }
  });
}

template <class C, class Put>
void for_each_covariance_noise(cpu_context& ctx, const running_variance<>& state,
                               const random_key& key, index_t rows, index_t cols,
                               const row_selection& selection, const Put& put) {
  workspace::scope scope(ctx.workspace);
  const row_buffers<C> buffers(ctx, scope, cols);
  for_each_row(ctx, rows, cols, selection, [&](index_t i, int worker) {
    C* const noise = buffers.of(worker);
    for_each_draw<normal_draw>(ctx, key, i, cols, [&](index_t j, normal_draw d) {
      noise[j] = static_cast<C>(state.deviation[j]) * static_cast<C>(d.value);
    });
    put(i, noise);
  });
}

}  // namespace cpu

template <running_statistics State>
struct augmentation_on<cpu_context, covariance_noise_policy<State>>
    : cpu::passes_gradient_on_host<covariance_noise_policy<State>> {
  using policy_type = covariance_noise_policy<State>;

  template <element T>
  static void forward(cpu_context& ctx, const policy_type& policy, matrix_view<const T> x,
                      const random_key& key, const row_selection& selection, matrix_view<T> out) {
    using C = compute_t<T>;
    const auto scale = static_cast<C>(policy.scale);
    cpu::for_each_covariance_noise<C>(ctx, policy.state, key, x.rows(), x.cols(), selection,
                                      [&](index_t i, const C* noise) {
                                        for (index_t j = 0; j < x.cols(); ++j)
                                          out(i, j) = store<T>(load(x(i, j)) + scale * noise[j]);
                                      });
  }
};

template <>
struct detail::covariance_noise_on<cpu_context> {
  template <element T, class State>
  static void draw(cpu_context& ctx, const State& state, const random_key& key,
                   const matrix_view<T>& noise) {
    const index_t cols = noise.cols();
    cpu::for_each_covariance_noise<compute_t<T>>(ctx, state, key, noise.rows(), cols, {},
                                                 [&](index_t i, const compute_t<T>* row) {
                                                   for (index_t j = 0; j < cols; ++j)
                                                     noise(i, j) = store<T>(row[j]);
                                                 });
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
