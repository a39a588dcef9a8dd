// CPU implementation of the masks: set random or given features to zero.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <concepts>
#include <cstdint>

#include "feaug/augment/mask.hpp"
#include "feaug/core/draws.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/row_selection.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/augment/augmentation.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/draws.hpp"
#include "feaug/cpu/core/lanes.hpp"
#include "feaug/cpu/core/non_temporal.hpp"
#include "feaug/cpu/core/put_gradient.hpp"
#include "feaug/cpu/core/rows.hpp"
#include "feaug/cpu/core/workspace.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cpu {

/// Sets keep[j] to 0 or 1 for one row.
inline void keep_row(const cpu_context& ctx, const mask& policy, const random_key& key, index_t row,
                     index_t cols, float* keep) {
  fill_draws<uniform_draw>(ctx, key, row, 0, cols, keep);
  for (index_t j = 0; j < cols; ++j) keep[j] = keep[j] < policy.keep_probability ? 1.0F : 0.0F;
}

/// A column and its draw: fixed_count_mask keeps the columns with the smallest draws.
struct drawn_column {
  std::uint32_t word;
  index_t column;
  bool operator<(const drawn_column& other) const {
    return word != other.word ? word < other.word : column < other.column;
  }
};

/// `order` has room for `cols` elements.
inline void keep_row(const fixed_count_mask& policy, const random_key& key, index_t row,
                     index_t cols, drawn_column* order, float* keep) {
  for (index_t j = 0; j < cols; ++j) order[j] = {draw_word(key, row, j), j};
  std::nth_element(order, order + policy.keep_count, order + cols);
  std::fill_n(keep, cols, 0.0F);
  for (index_t n = 0; n < policy.keep_count; ++n) keep[order[n].column] = 1.0F;
}

inline void keep_row(const cpu_context& /*ctx*/, const block_mask& policy, const random_key& key,
                     index_t row, index_t cols, float* keep) {
  const index_t start =
      feaug::detail::dropped_start(policy.block_length, cols, draw_word(key, row, 0));
  std::fill_n(keep, cols, 1.0F);
  std::fill_n(keep + start, policy.block_length, 0.0F);
}

template <element T>
void keep_row(const cpu_context& /*ctx*/, const mask_from_policy<T>& policy,
              const random_key& /*key*/, index_t row, index_t cols, float* keep) {
  for (index_t j = 0; j < cols; ++j) keep[j] = static_cast<float>(load(policy.keep(row, j)));
}

/// The rows of a mask, each in its worker's buffer. Scratch: 4 bytes a column for every thread, with
/// fixed_count_mask 20.
template <class P>
class mask_rows {
 public:
  mask_rows(const cpu_context& ctx, workspace::scope& scratch, const P& policy,
            const random_key& key, index_t cols)
      : ctx_(ctx),
        policy_(policy),
        key_(key),
        cols_(cols),
        keep_(ctx, scratch, cols),
        order_(ctx, scratch, std::same_as<P, fixed_count_mask> ? cols : 0) {}

  /// 1 for each kept column of the row, 0 for the others.
  [[nodiscard]] const float* draw(index_t row, int worker) const {
    float* const keep = keep_.of(worker);
    if constexpr (std::same_as<P, fixed_count_mask>) {
      keep_row(policy_, key_, row, cols_, order_.of(worker), keep);
    } else {
      keep_row(ctx_, policy_, key_, row, cols_, keep);
    }
    return keep;
  }

 private:
  const cpu_context& ctx_;
  const P& policy_;
  const random_key& key_;
  index_t cols_;
  row_buffers<float> keep_;
  row_buffers<drawn_column> order_;
};

/// The loops of all masks, given mask_rows. An element costs one read, one write and one draw
/// (block_mask: one draw a row; mask_from: a read of keep instead).
template <class P>
struct mask_on_host : augmentation_traits<P> {
  template <element T>
  static void forward(cpu_context& ctx, const P& policy, matrix_view<const T> x,
                      const random_key& key, const row_selection& selection, matrix_view<T> out) {
    const bool non_temporal = worth_non_temporal(out, x);
    if constexpr (std::same_as<P, mask> && std::same_as<T, float>) {
      if (policy.rescale == rescale::none) {
        for_each_row(ctx, x.rows(), x.cols(), selection, [&](index_t i, int) {
          keep_some_row(ctx, key, i, x.cols(), x.row(i), policy.keep_probability, out.row(i),
                        non_temporal);
        });
        return;
      }
    }
    over_rows<T>(ctx, policy, key, x.rows(), x.cols(), selection,
                 [&](index_t i, const float* keep, auto factor) {
                   const T* source = x.row(i);
                   write_elements(out.row(i), x.cols(), non_temporal, [=](index_t j) {
                     return load(source[j]) * (static_cast<compute_t<T>>(keep[j]) * factor);
                   });
                 });
  }

  template <element T>
  static void backward(cpu_context& ctx, const P& policy, const operand<T>& x,
                       const random_key& key, const row_selection& selection,
                       matrix_view<const T> grad_out) {
    if (!x.wants_gradient()) return;
    if (x.mode == gradient_mode::overwrite) {  // the gradient is masked like x
      forward<T>(ctx, policy, grad_out, key, selection, x.gradient);
      return;
    }
    over_rows<T>(ctx, policy, key, x.value.rows(), x.value.cols(), selection,
                 [&](index_t i, const float* keep, auto factor) {
                   const T* gradient = grad_out.row(i);
                   put_gradient(x, i, [=](index_t j) {
                     return load(gradient[j]) * (static_cast<compute_t<T>>(keep[j]) * factor);
                   });
                 });
  }

 private:
  template <element T, class Row>
  static void over_rows(cpu_context& ctx, const P& policy, const random_key& key, index_t rows,
                        index_t cols, const row_selection& selection, const Row& row) {
    using C = compute_t<T>;
    workspace::scope scope(ctx.workspace);
    const mask_rows<P> keeps(ctx, scope, policy, key, cols);
    for_each_row(ctx, rows, cols, selection, [&](index_t i, int worker) {
      const float* const keep = keeps.draw(i, worker);
      C factor{1};
      if (policy.rescale == rescale::row) {
        const auto kept = static_cast<C>(sum_of(keep, cols));
        factor = static_cast<C>(cols) / std::max(kept, C{1});
      }
      row(i, keep, factor);
    });
  }
};

}  // namespace cpu

template <>
struct augmentation_on<cpu_context, mask> : cpu::mask_on_host<mask> {};
template <>
struct augmentation_on<cpu_context, fixed_count_mask> : cpu::mask_on_host<fixed_count_mask> {};
template <>
struct augmentation_on<cpu_context, block_mask> : cpu::mask_on_host<block_mask> {};
template <element U>
struct augmentation_on<cpu_context, mask_from_policy<U>> : cpu::mask_on_host<mask_from_policy<U>> {
};

template <>
struct detail::mask_on<cpu_context> {
  template <element T, class P>
  static void draw(cpu_context& ctx, const P& policy, const random_key& key,
                   const matrix_view<T>& keep) {
    workspace::scope scope(ctx.workspace);
    const cpu::mask_rows<P> rows(ctx, scope, policy, key, keep.cols());
    cpu::for_each_row(ctx, keep.rows(), keep.cols(), {}, [&](index_t i, int worker) {
      const float* const row = rows.draw(i, worker);
      cpu::write_elements(keep.row(i), keep.cols(), false,
                          [row](index_t j) { return static_cast<compute_t<T>>(row[j]); });
    });
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
