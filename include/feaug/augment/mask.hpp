// Masks: features set to zero.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <vector>

#include "feaug/augment/augmentation.hpp"
#include "feaug/augment/elementwise.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/row_selection.hpp"
#include "feaug/cpu/core/draws.hpp"
#include "feaug/cpu/core/lanes.hpp"
#include "feaug/cpu/core/put_gradient.hpp"
#include "feaug/cpu/core/rows.hpp"
#include "feaug/cpu/core/streaming.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// What becomes of the features that are kept.
enum class rescale {
  none,
  row,  ///< × D / max(kept, 1), so that a row keeps its expected size
};

/// Every feature is kept with this probability, each by its own draw: out = x ⊙ keep, gradient g ⊙
/// keep (both rescaled).
struct mask {
  float keep_probability = 0.8F;
  feaug::rescale rescale = feaug::rescale::none;
};

/// Exactly keep_count features of every row are kept, every choice equally likely: those with the
/// smallest (word, column).
struct fixed_count_mask {
  index_t keep_count = 1;
  feaug::rescale rescale = feaug::rescale::none;
};

/// A run of block_length features is dropped from every row, its start uniform in 0 … D −
/// block_length.
struct block_mask {
  index_t block_length = 1;
  feaug::rescale rescale = feaug::rescale::none;
};

/// A mask that was drawn before: `keep` N × D of 0 and 1.
template <element T, memory_space Space = memory_space::host>
struct drawn_mask_policy {
  matrix_view<const T, Space> keep;
  feaug::rescale rescale = feaug::rescale::none;
};

template <class T, memory_space S>
drawn_mask_policy<std::remove_const_t<T>, S> drawn_mask(const matrix_view<T, S>& keep,
                                                        rescale scale = rescale::none) {
  return {.keep = keep, .rescale = scale};
}

namespace detail {

/// keep[j] = 0 or 1 for one row.
inline void keep_row(const cpu_context& ctx, const mask& policy, const random_key& key, index_t row,
                     index_t cols, float* keep) {
  cpu::fill_draws<uniform_draw>(ctx, key, row, 0, cols, keep);
  for (index_t j = 0; j < cols; ++j) keep[j] = keep[j] < policy.keep_probability ? 1.0F : 0.0F;
}

inline void keep_row(const cpu_context& /*ctx*/, const fixed_count_mask& policy,
                     const random_key& key, index_t row, index_t cols, float* keep) {
  struct drawn {
    std::uint32_t word;
    index_t column;
    bool operator<(const drawn& other) const {
      return word != other.word ? word < other.word : column < other.column;
    }
  };
  std::vector<drawn> order;
  order.reserve(static_cast<std::size_t>(cols));
  for (index_t j = 0; j < cols; ++j) order.push_back({draw_word(key, row, j), j});
  const auto kept = order.begin() + policy.keep_count;
  std::nth_element(order.begin(), kept, order.end());
  std::fill_n(keep, cols, 0.0F);
  for (auto it = order.begin(); it != kept; ++it) keep[it->column] = 1.0F;
}

/// Where the dropped run begins: the word's share of 2³² times the number of starts, uniform up to
/// starts / 2³².
FEAUG_HD inline index_t dropped_start(index_t block_length, index_t cols, std::uint32_t word) {
  const auto starts = static_cast<std::uint64_t>(cols - block_length + 1);
  return static_cast<index_t>((word * starts) >> 32);
}

inline void keep_row(const cpu_context& /*ctx*/, const block_mask& policy, const random_key& key,
                     index_t row, index_t cols, float* keep) {
  const index_t start = dropped_start(policy.block_length, cols, draw_word(key, row, 0));
  std::fill_n(keep, cols, 1.0F);
  std::fill_n(keep + start, policy.block_length, 0.0F);
}

template <element T>
void keep_row(const cpu_context& /*ctx*/, const drawn_mask_policy<T>& policy,
              const random_key& /*key*/, index_t row, index_t cols, float* keep) {
  for (index_t j = 0; j < cols; ++j) keep[j] = static_cast<float>(load(policy.keep(row, j)));
}

/// What all masks do with a row of keep.
template <class P>
struct mask_traits : augmentation_defaults {
  template <element T>
  static void forward(cpu_context& ctx, const P& policy, matrix_view<const T> x,
                      const random_key& key, const row_selection& selection, matrix_view<T> out) {
    const bool past_caches = cpu::worth_streaming(out, x);
    if constexpr (std::same_as<P, mask> && std::same_as<T, float>) {
      if (policy.rescale == rescale::none) {
        cpu::for_each_row(ctx, x.rows(), x.cols(), selection, [&](index_t i, int) {
          cpu::keep_some_row(ctx, key, i, x.cols(), x.row(i), policy.keep_probability, out.row(i),
                             past_caches);
        });
        return;
      }
    }
    over_rows<T>(ctx, policy, key, x.rows(), x.cols(), selection,
                 [&](index_t i, const float* keep, auto factor) {
                   const T* source = x.row(i);
                   cpu::write_elements(out.row(i), x.cols(), past_caches, [=](index_t j) {
                     return load(source[j]) * (static_cast<compute_t<T>>(keep[j]) * factor);
                   });
                 });
  }

  template <element T>
  static void backward(cpu_context& ctx, const P& policy, const operand<T>& x,
                       const random_key& key, const row_selection& selection,
                       matrix_view<const T> grad_out) {
    if (!x.wants_gradient()) return;
    if (x.mode == gradient_mode::overwrite) {  // what becomes of x becomes of its gradient
      forward<T>(ctx, policy, grad_out, key, selection, x.gradient);
      return;
    }
    over_rows<T>(ctx, policy, key, x.value.rows(), x.value.cols(), selection,
                 [&](index_t i, const float* keep, auto factor) {
                   const T* gradient = grad_out.row(i);
                   cpu::put_gradient(x, i, [=](index_t j) {
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
    const cpu::row_buffers<float> keeps(ctx, scope, cols);
    cpu::for_each_row(ctx, rows, cols, selection, [&](index_t i, int worker) {
      float* keep = keeps.of(worker);
      keep_row(ctx, policy, key, i, cols, keep);
      C factor{1};
      if (policy.rescale == rescale::row) {
        const auto kept = static_cast<C>(cpu::sum_of(keep, cols));
        factor = static_cast<C>(cols) / std::max(kept, C{1});
      }
      row(i, keep, factor);
    });
  }
};

}  // namespace detail

template <>
struct augmentation_traits<mask> : detail::mask_traits<mask> {
  static constexpr std::string_view name = "mask";
  static constexpr int streams = 1;
  static void validate(const mask& policy, index_t /*rows*/, index_t /*cols*/) {
    check::within(name, "keep_probability", static_cast<double>(policy.keep_probability), 0.0, 1.0);
  }
};

template <>
struct augmentation_traits<fixed_count_mask> : detail::mask_traits<fixed_count_mask> {
  static constexpr std::string_view name = "fixed_count_mask";
  static constexpr int streams = 1;
  static void validate(const fixed_count_mask& policy, index_t /*rows*/, index_t cols) {
    check::within(name, "keep_count", policy.keep_count, 0, cols);
  }
};

template <>
struct augmentation_traits<block_mask> : detail::mask_traits<block_mask> {
  static constexpr std::string_view name = "block_mask";
  static constexpr int streams = 1;
  static void validate(const block_mask& policy, index_t /*rows*/, index_t cols) {
    check::within(name, "block_length", policy.block_length, 0, cols);
  }
};

template <element U, memory_space S>
struct augmentation_traits<drawn_mask_policy<U, S>> : detail::mask_traits<drawn_mask_policy<U, S>> {
  static constexpr std::string_view name = "drawn_mask";
  static constexpr int streams = 0;
  static void validate(const drawn_mask_policy<U, S>& policy, index_t rows, index_t cols) {
    check::readable(name, "keep", policy.keep);
    check::has_shape(name, "keep", policy.keep, rows, cols, "x");
  }
  template <class T>
  static void check_forward(const drawn_mask_policy<U, S>& policy, const matrix_view<T, S>& out,
                            bool /*alone*/) {
    check::apart(name, "out", out, "keep", policy.keep);
  }
  template <class T>
  static void check_backward(const drawn_mask_policy<U, S>& policy, const operand<T, 2, S>& x,
                             const matrix_view<const T, S>& /*grad_out*/) {
    if (x.wants_gradient()) check::apart(name, "gradient of x", x.gradient, "keep", policy.keep);
  }
};

/// The keep matrix that a mask draws from the key, N × D of 0 and 1: drawn_mask(keep) then does
/// what the mask would.
template <class P, element T>
requires std::same_as<P, mask> || std::same_as<P, fixed_count_mask> || std::same_as<P, block_mask>
void draw(cpu_context& ctx, const P& policy, const random_key& key, matrix_view<T> keep) {
  constexpr std::string_view op = "draw";
  check::writable(op, "keep", keep);
  check::usable(op, key, keep.rows(), keep.cols(), augmentation_traits<P>::streams);
  augmentation_traits<P>::validate(policy, keep.rows(), keep.cols());
  workspace::scope scope(ctx.workspace);
  const cpu::row_buffers<float> rows(ctx, scope, keep.cols());
  cpu::for_each_row(ctx, keep.rows(), keep.cols(), {}, [&](index_t i, int worker) {
    float* row = rows.of(worker);
    detail::keep_row(ctx, policy, key, i, keep.cols(), row);
    cpu::write_elements(keep.row(i), keep.cols(), false,
                        [row](index_t j) { return static_cast<compute_t<T>>(row[j]); });
  });
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
