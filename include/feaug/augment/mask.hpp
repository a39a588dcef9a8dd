// Masks: set features to zero.
#pragma once

#include "feaug/header_begin.hpp"

#include <concepts>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include "feaug/augment/augmentation.hpp"
#include "feaug/core/any_context.hpp"
#include "feaug/core/call_memory.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// The scaling of the kept features.
enum class rescale {
  none,
  row,  ///< × D / max(kept, 1), which preserves the row's expected sum
};

/// Keeps every feature with this probability, independently: out = x ⊙ keep, gradient g ⊙ keep
/// (both rescaled).
struct mask {
  float keep_probability = 0.8F;
  feaug::rescale rescale = feaug::rescale::none;
};

/// Keeps exactly keep_count features of every row, every subset equally likely: those with the
/// smallest (word, column).
struct fixed_count_mask {
  index_t keep_count = 1;
  feaug::rescale rescale = feaug::rescale::none;
};

/// Drops a run of block_length features from every row; its start is uniform in 0 … D −
/// block_length.
struct block_mask {
  index_t block_length = 1;
  feaug::rescale rescale = feaug::rescale::none;
};

/// A given mask: `keep` is N × D of 0 and 1.
template <element T, memory_space Space = memory_space::host>
struct mask_from_policy {
  matrix_view<const T, Space> keep;
  feaug::rescale rescale = feaug::rescale::none;
};

template <class T, memory_space S>
mask_from_policy<std::remove_const_t<T>, S> mask_from(const matrix_view<T, S>& keep,
                                                      rescale scale = rescale::none) {
  return {.keep = keep, .rescale = scale};
}

namespace detail {

/// The start of the dropped run: ⌊word · starts / 2³²⌋, uniform up to an error of starts / 2³².
FEAUG_HD inline index_t dropped_start(index_t block_length, index_t cols, std::uint32_t word) {
  const auto starts = static_cast<std::uint64_t>(cols - block_length + 1);
  return static_cast<index_t>((word * starts) >> 32);
}

}  // namespace detail

template <>
struct augmentation_traits<mask> : augmentation_defaults {
  static constexpr std::string_view name = "mask";
  static constexpr int streams = 1;
  static void validate(const mask& policy, index_t /*rows*/, index_t /*cols*/) {
    check::within(name, "keep_probability", static_cast<double>(policy.keep_probability), 0.0, 1.0);
  }
};

template <>
struct augmentation_traits<fixed_count_mask> : augmentation_defaults {
  static constexpr std::string_view name = "fixed_count_mask";
  static constexpr int streams = 1;
  static void validate(const fixed_count_mask& policy, index_t /*rows*/, index_t cols) {
    check::within(name, "keep_count", policy.keep_count, 0, cols);
  }
};

template <>
struct augmentation_traits<block_mask> : augmentation_defaults {
  static constexpr std::string_view name = "block_mask";
  static constexpr int streams = 1;
  static void validate(const block_mask& policy, index_t /*rows*/, index_t cols) {
    check::within(name, "block_length", policy.block_length, 0, cols);
  }
};

template <element U, memory_space S>
struct augmentation_traits<mask_from_policy<U, S>> : augmentation_defaults {
  static constexpr std::string_view name = "mask_from";
  static constexpr int streams = 0;
  static void validate(const mask_from_policy<U, S>& policy, index_t rows, index_t cols) {
    check::readable(name, "keep", policy.keep);
    check::has_shape(name, "keep", policy.keep, rows, cols, "x");
  }
  static void add_memory(const mask_from_policy<U, S>& policy, check::call_memory& memory) {
    memory.reads("keep", policy.keep);
  }
};

namespace detail {

/// A context's implementation: draw, called with checked arguments.
template <class Context>
struct mask_on {
  static_assert(is_included<Context>,
                "include feaug/cpu/augment/mask.hpp or feaug/cuda/augment/mask.cuh");
};

}  // namespace detail

/// Writes the keep matrix that a mask draws from the key, N × D of 0 and 1; mask_from(keep) then
/// equals the mask.
template <any_context Context, class P, element T>
requires std::same_as<P, mask> || std::same_as<P, fixed_count_mask> || std::same_as<P, block_mask>
void draw(Context& ctx, const P& policy, const random_key& key,
          matrix_view<T, Context::space> keep) {
  constexpr std::string_view op = "draw";
  check::writable(op, "keep", keep);
  detail::check_draw<Context>(policy, key, keep.rows(), keep.cols());
  if (keep.empty()) return;
  require_reachable(ctx, op, "keep", keep);
  detail::mask_on<Context>::template draw<T>(ctx, policy, key, keep);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
