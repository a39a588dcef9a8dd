// The momentum network: parameters that follow the online network as an exponential moving average.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <ranges>
#include <span>
#include <string_view>
#include <type_traits>

#include "feaug/core/any_context.hpp"
#include "feaug/core/argument_name.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/elementary.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/finite.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// A parameter of the momentum network and the online parameter that it follows: two matrices or
/// two vectors. The target may have a wider type (for example float for half). A 16-bit target
/// would not move, since steps of (1 − momentum) are lost to rounding.
template <element T, element S = T, memory_space Space = memory_space::host>
struct momentum_pair {
  matrix_view<T, Space> target = {};
  matrix_view<const S, Space> online = {};

  constexpr momentum_pair() = default;
  constexpr momentum_pair(const matrix_view<T, Space>& target_view,
                          const matrix_view<const S, Space>& online_view)
      : target(target_view), online(online_view) {}
  constexpr momentum_pair(const vector_view<T, Space>& target_view,
                          const vector_view<const S, Space>& online_view)
      : target(as_column(target_view)), online(as_column(online_view)) {}

 private:
  /// The elements of a vector need not be contiguous.
  template <class U>
  static constexpr matrix_view<U, Space> as_column(const vector_view<U, Space>& view) {
    return {view.data, view.size(), 1, view.strides[0]};
  }
};

/// The momentum of step `step` of `steps`: increases along half a cosine from `base` at the first
/// step to 1 at the last (Grill et al., BYOL, arXiv 2006.07733):
///     1 − (1 − base) · ½ (1 + cos(π · step / steps)).
inline double momentum_at(index_t step, index_t steps, double base) {
  check::within("momentum_at", "base", base, 0, 1);
  if (steps < 1) check::fail("momentum_at", "steps", check::text(steps), "at least 1");
  check::within("momentum_at", "step", step, 0, steps);
  const double done = static_cast<double>(step) / static_cast<double>(steps);
  return 1.0 - (1.0 - base) * 0.5 * (1.0 + feaug::detail::cos(std::numbers::pi * done));
}

namespace detail {

template <class P, memory_space Space>
inline constexpr bool is_momentum_pair = false;
template <element T, element S, memory_space Space>
inline constexpr bool is_momentum_pair<momentum_pair<T, S, Space>, Space> = true;

/// A contiguous range of pairs in this memory space: a vector, an array, a span.
template <class Range, memory_space Space>
concept momentum_pairs = std::ranges::contiguous_range<Range> && std::ranges::sized_range<Range> &&
    is_momentum_pair<std::remove_cv_t<std::ranges::range_value_t<Range>>, Space>;

/// target + (1 − momentum) · (online − target), in double: a target equal to online does not
/// change, however 1 − momentum is rounded. With momentum 0 the target is not read, with 1 it is
/// unchanged.
template <element T, element S>
FEAUG_HD T followed(T target, S online, double momentum) {
  using C = compute_t<T>;
  if (feaug::detail::is_equal(momentum, 1)) return target;
  const auto to = static_cast<double>(load(online));
  if (feaug::detail::is_equal(momentum, 0)) return store<T>(static_cast<C>(to));
  const auto from = static_cast<double>(load(target));
  return store<T>(static_cast<C>(from + (1.0 - momentum) * (to - from)));
}

/// The addresses of a view of a pair.
struct momentum_place {
  std::uintptr_t begin;
  std::uintptr_t end;
  std::size_t pair;
  bool is_target;
};

inline check::argument_name momentum_name(std::size_t pair, bool is_target) {
  return check::argument_name("pairs[", pair, is_target ? "].target" : "].online");
}

/// Checks each pair, and that no target shares memory with another view. `places` has room for two
/// a pair.
template <element T, element S, memory_space Space>
void momentum_arguments(std::string_view op, std::span<const momentum_pair<T, S, Space>> pairs,
                        momentum_place* places) {
  momentum_place* end = places;
  const auto note = [&end](const auto& view, std::size_t pair, bool is_target) {
    if (view.empty()) return;
    const auto begin = reinterpret_cast<std::uintptr_t>(view.data);
    const auto elements = (view.rows() - 1) * view.row_stride() + view.cols();
    *end++ = {begin, begin + static_cast<std::uintptr_t>(elements) * sizeof(*view.data), pair,
              is_target};
  };
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const check::argument_name target = momentum_name(i, true);
    const check::argument_name online = momentum_name(i, false);
    check::writable(op, target, pairs[i].target);
    check::readable(op, online, pairs[i].online);
    check::has_shape(op, online, pairs[i].online, pairs[i].target.rows(), pairs[i].target.cols(),
                     "its target");
    note(pairs[i].target, i, true);
    note(pairs[i].online, i, false);
  }
  // Only views whose address ranges overlap can share elements.
  std::sort(places, end, [](const momentum_place& a, const momentum_place& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.pair < b.pair;
  });
  const auto apart = [&](const momentum_place& a, const momentum_place& b) {
    const auto from = [&](const auto& first) {
      return b.is_target ? check::overlap(first, pairs[b.pair].target)
                         : check::overlap(first, pairs[b.pair].online);
    };
    const bool meet = a.is_target ? from(pairs[a.pair].target) : from(pairs[a.pair].online);
    if (!meet) return;
    const momentum_place& written = a.is_target ? a : b;
    const momentum_place& other = a.is_target ? b : a;
    check::fail(
        op, momentum_name(written.pair, true),
        check::argument_name("memory that overlaps ", momentum_name(other.pair, other.is_target)),
        "memory of its own");
  };
  for (const momentum_place* a = places; a != end; ++a) {
    for (const momentum_place* b = a + 1; b != end && b->begin < a->end; ++b) {
      if (a->is_target || b->is_target) apart(*a, *b);
    }
  }
}

/// The two matrices of a pair as one row each if both are packed, otherwise the pair unchanged.
template <element T, element S, memory_space Space>
momentum_pair<T, S, Space> without_gaps(const momentum_pair<T, S, Space>& pair) {
  const auto packed = [](const auto& view) {
    return view.rows() <= 1 || view.row_stride() == view.cols();
  };
  if (!packed(pair.target) || !packed(pair.online)) return pair;
  const index_t count = pair.target.rows() * pair.target.cols();
  return {matrix_view<T, Space>(pair.target.data, 1, count),
          matrix_view<const S, Space>(pair.online.data, 1, count)};
}

/// A context's implementation. with_places calls check(places) with room for two places a pair; run
/// updates all targets of a span, called with checked arguments.
template <class Context>
struct momentum_update_on {
  static_assert(
      is_included<Context>,
      "include feaug/cpu/step/momentum_update.hpp or feaug/cuda/step/momentum_update.cuh");
};

/// Checks the pairs and returns them as a span.
template <any_context Context, momentum_pairs<Context::space> Pairs>
auto checked_pairs(Context& ctx, std::string_view op, const Pairs& pairs) {
  using pair_type = std::ranges::range_value_t<Pairs>;
  const std::span<const pair_type> all(std::ranges::data(pairs), std::ranges::size(pairs));
  momentum_update_on<Context>::with_places(
      ctx, all.size(), [&](momentum_place* places) { momentum_arguments(op, all, places); });
  for (std::size_t i = 0; i < all.size(); ++i) {
    require_reachable(ctx, op, momentum_name(i, true), all[i].target);
    require_reachable(ctx, op, momentum_name(i, false), all[i].online);
  }
  return all;
}

}  // namespace detail

/// Sets target = momentum · target + (1 − momentum) · online for every pair, for all tensors of a
/// network in one call (He et al., MoCo, arXiv 1911.05722; Tarvainen and Valpola, arXiv
/// 1703.01780).
///
/// `pairs` is a vector, array or span of momentum_pair: matrices or vectors of any shapes, where
/// target and online of a pair have the same shape. momentum is from 0 (a copy: the target is not
/// read) to 1 (the target is unchanged). Computed in double, rounded once to the target's type.
/// There is no gradient: targets are constants of a step. No target may share memory with any other
/// view of the list. NaN or ∞ in an element of target or online makes that element of the target
/// NaN or ∞. On a GPU `pairs` itself is in host memory and may be destroyed when the call returns,
/// also during graph capture.
template <any_context Context, detail::momentum_pairs<Context::space> Pairs>
void momentum_update(Context& ctx, const Pairs& pairs, double momentum) {
  constexpr std::string_view op = "momentum_update";
  check::within(op, "momentum", momentum, 0, 1);
  const auto all = detail::checked_pairs(ctx, op, pairs);
  detail::momentum_update_on<Context>::run(ctx, all, momentum);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
