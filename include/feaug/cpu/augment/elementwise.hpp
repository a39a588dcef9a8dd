// CPU implementation of all element-wise augmentations, including user-defined ones: one loop for
// all. An element costs one read and one write, and a draw if the functor has one.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <concepts>

#include "feaug/augment/elementwise.hpp"
#include "feaug/core/draws.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/row_selection.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/augment/augmentation.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/draws.hpp"
#include "feaug/cpu/core/non_temporal.hpp"
#include "feaug/cpu/core/put_gradient.hpp"
#include "feaug/cpu/core/rows.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cpu {

/// Calls visit(first, count, draw_of) for runs of a row's columns; draw_of(j) is the draw of column
/// first + j.
template <class Draw, class Visit>
void for_each_run_of_draws(const cpu_context& ctx, const random_key& key, index_t row, index_t cols,
                           const Visit& visit) {
  if constexpr (std::same_as<Draw, no_draw>) {
    visit(index_t{0}, cols, [](index_t) { return no_draw{}; });
  } else {
    constexpr index_t run =
        1024;  // so that the draws and the features of a run stay in the L1 cache
    float values[run];
    for (index_t first = 0; first < cols; first += run) {
      const index_t count = std::min(run, cols - first);
      fill_draws<Draw>(ctx, key, row, first, count, values);
      visit(first, count, [&values](index_t j) { return Draw{values[j]}; });
    }
  }
}

/// Calls visit(j, draw) for every column of a row.
template <class Draw, class Visit>
void for_each_draw(const cpu_context& ctx, const random_key& key, index_t row, index_t cols,
                   const Visit& visit) {
  for_each_run_of_draws<Draw>(ctx, key, row, cols,
                              [&](index_t first, index_t count, const auto& draw_of) {
                                for (index_t j = 0; j < count; ++j) visit(first + j, draw_of(j));
                              });
}

}  // namespace cpu

template <elementwise_augmentation P>
struct augmentation_on<cpu_context, P> : augmentation_traits<P> {
  using draw = typename P::draw;

  template <element T>
  static void forward(cpu_context& ctx, const P& policy, matrix_view<const T> x,
                      const random_key& key, const row_selection& selection, matrix_view<T> out) {
    const bool non_temporal = cpu::worth_non_temporal(out, x);
    cpu::for_each_row(ctx, x.rows(), x.cols(), selection, [&](index_t i, int) {
      cpu::for_each_run_of_draws<draw>(
          ctx, key, i, x.cols(), [&](index_t first, index_t count, const auto& draw_of) {
            const T* source = x.row(i) + first;
            cpu::write_elements(out.row(i) + first, count, non_temporal, [&](index_t j) {
              return policy.forward(load(source[j]), draw_of(j));
            });
          });
    });
  }

  template <element T>
  static void backward(cpu_context& ctx, const P& policy, const operand<T>& x,
                       const random_key& key, const row_selection& selection,
                       matrix_view<const T> grad_out) {
    if (!x.wants_gradient()) return;
    const bool non_temporal = cpu::non_temporal_gradient(x, grad_out);
    cpu::for_each_row(ctx, x.value.rows(), x.value.cols(), selection, [&](index_t i, int) {
      cpu::for_each_run_of_draws<draw>(
          ctx, key, i, x.value.cols(), [&](index_t first, index_t count, const auto& draw_of) {
            const T* value = x.value.row(i) + first;
            const T* gradient = grad_out.row(i) + first;
            cpu::put_gradients(x, i, first, count, non_temporal, [&](index_t j) {
              return policy.backward(load(gradient[j]), load(value[j]), draw_of(j));
            });
          });
    });
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
