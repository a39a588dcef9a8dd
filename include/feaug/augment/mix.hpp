// Shared by interpolate and extrapolate: out = w·x + (1 − w)·partner, with a weight and a partner
// for every row.
#pragma once

#include "feaug/header_begin.hpp"

#include <cmath>
#include <concepts>
#include <string_view>
#include <type_traits>

#include "feaug/augment/augmentation.hpp"
#include "feaug/core/any_context.hpp"
#include "feaug/core/call_memory.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/elementary.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/random_beta.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// How weights are chosen.
enum class weight_distribution { fixed, uniform, beta };

/// Whether a weight is drawn for each row or once a call.
enum class draw_per { row, call };

/// A mix that has a weight for every row.
template <class Mix>
concept weighted_mix = requires(const Mix& mix) {
  mix.distribution;
  Mix::least;
  Mix::most;
};

/// A mix with a partner given by the caller: see with_partner and with_weights.
template <class Mix, element T, memory_space Space = memory_space::host>
struct partnered {
  Mix mix;
  operand<T, 2, Space> partner;  ///< N × D: another view, neighbours, rows of a queue
  /// N given weights of x; empty: drawn from the key. On a GPU their range is not checked.
  vector_view<const compute_t<T>, Space> weights = {};
};

/// `mix` with the rows of `partner` (N × D) instead of a permutation of the batch. An operand
/// receives its gradient, (1 − w)·g for interpolate and extrapolate; a view is a constant.
template <class Mix, element T, memory_space S>
partnered<Mix, T, S> with_partner(const Mix& mix, const operand<T, 2, S>& partner) {
  return {.mix = mix, .partner = partner};
}
template <class Mix, class T, memory_space S>
partnered<Mix, std::remove_const_t<T>, S> with_partner(const Mix& mix,
                                                       const matrix_view<T, S>& partner) {
  return {.mix = mix, .partner = stop_gradient(partner)};
}

/// The same with given draws: N weights of x, and the partner.
template <weighted_mix Mix, element T, memory_space S>
partnered<Mix, T, S> with_weights(
    const Mix& mix, const operand<T, 2, S>& partner,
    std::type_identity_t<vector_view<const compute_t<T>, S>> weights) {
  return {.mix = mix, .partner = partner, .weights = weights};
}

namespace detail {

/// The weight of x in row i, from the mix's distribution.
template <class Mix>
FEAUG_HD float draw_weight(const Mix& mix, random_key key, index_t row) {
  if (mix.per == draw_per::call) {
    key.row_offset = 0;  // one weight for all micro-batches and ranks
    row = 0;
  }
  switch (mix.distribution) {
    case weight_distribution::uniform:
      return feaug::detail::fma(mix.high - mix.low, draw_uniform(key, row, 0), mix.low);
    case weight_distribution::beta:
      return Mix::from_beta(draw_beta(key, row, mix.alpha, mix.beta));
    case weight_distribution::fixed:
      break;
  }
  return mix.weight;
}

template <class Mix>
void check_mix(std::string_view op, const Mix& mix) {
  const auto weight = [&](std::string_view argument, float value) {
    if (value >= Mix::least && value <= Mix::most) return;
    check::fail(op, argument, check::text(value), Mix::range);
  };
  switch (mix.distribution) {
    case weight_distribution::fixed:
      weight("weight", mix.weight);
      break;
    case weight_distribution::uniform:
      weight("low", mix.low);
      weight("high", mix.high);
      if (mix.high < mix.low)
        check::fail(op, "high", check::text(mix.high), "at least low = " + check::text(mix.low));
      break;
    case weight_distribution::beta:
      check::positive(op, "alpha", static_cast<double>(mix.alpha));
      check::positive(op, "beta", static_cast<double>(mix.beta));
      break;
  }
}

/// The partner is a permutation of the batch. Streams: one for the weights, one for the
/// permutation.
template <class Mix>
struct permuted_mix_traits : augmentation_defaults {
  static constexpr int streams = 2;
  static constexpr bool mixes_rows = true;

  static void validate(const Mix& mix, index_t /*rows*/, index_t /*cols*/) {
    check_mix(augmentation_traits<Mix>::name, mix);
  }
};

/// The traits of all mixes with a given partner. Streams: one for the weights.
template <class Mix, element U, memory_space S>
struct partnered_mix_traits : augmentation_defaults {
  using policy_type = partnered<Mix, U, S>;
  static constexpr std::string_view name = augmentation_traits<Mix>::name;
  static constexpr int streams = weighted_mix<Mix> ? 1 : 0;

  static bool wants_gradient(const policy_type& policy) { return policy.partner.wants_gradient(); }

  static void validate(const policy_type& policy, index_t rows, index_t cols) {
    check::valid(name, "partner", policy.partner);
    check::has_shape(name, "partner", policy.partner.value, rows, cols, "x");
    if (!weighted_mix<Mix> || policy.weights.data == nullptr) {
      augmentation_traits<Mix>::validate(policy.mix, rows, cols);
      return;
    }
    if constexpr (weighted_mix<Mix>) {
      using C = compute_t<U>;
      check::readable(name, "weights", policy.weights);
      check::has_size(name, "weights", policy.weights, rows, "one a row");
      for (index_t i = 0; S == memory_space::host && i < rows; ++i) {
        const C weight = policy.weights[i];
        if (weight >= static_cast<C>(Mix::least) && weight <= static_cast<C>(Mix::most)) continue;
        check::fail(name, "weights", check::text(weight) + " in row " + check::text(i), Mix::range);
      }
    }
  }
  static void add_memory(const policy_type& policy, check::call_memory& memory) {
    memory.uses("partner", policy.partner).reads("weights", policy.weights);
  }
  template <class T>
  static void check_forward(const policy_type& policy, const matrix_view<T, S>& out, bool alone) {
    check::apart(name, "out", out, "weights", as_column(policy.weights));
    if (alone) {
      check::apart_or_same(name, "out", out, "partner", policy.partner.value);
    } else {
      check::apart(name, "out", out, "partner", policy.partner.value);
    }
  }
  template <class T>
  static void check_backward(const policy_type& policy, const operand<T, 2, S>& x,
                             const matrix_view<const T, S>& grad_out) {
    check::apart(name, "x", x, "partner", policy.partner);
    if (policy.partner.wants_gradient()) {
      check::apart(name, "gradient of partner", policy.partner.gradient, "grad_out", grad_out);
    }
  }
};

}  // namespace detail

/// A mix whose output is exactly w·x + (1 − w)·partner: interpolate, extrapolate.
template <class Mix>
concept linear_mix = std::derived_from<augmentation_traits<Mix>, detail::permuted_mix_traits<Mix>>;

/// The partner is given by the caller. Streams: one for the weights.
template <class Mix, element U, memory_space S>
struct augmentation_traits<partnered<Mix, U, S>> : detail::partnered_mix_traits<Mix, U, S> {};

namespace detail {

/// A context's implementation: draw_weights and draw_partners, called with checked arguments.
template <class Context>
struct mix_on {
  static_assert(is_included<Context>,
                "include feaug/cpu/augment/mix.hpp or feaug/cuda/augment/mix.cuh");
};

/// Checks that the context's processor can write the permutation. A GPU writes it by a sort, which
/// needs a contiguous array.
template <any_context Context>
void require_permutation_reachable(const Context& ctx, std::string_view op,
                                   const vector_view<index_t, Context::space>& permutation) {
  require_reachable(ctx, op, "permutation", permutation);
  const index_t stride = permutation.strides[0];
  if (Context::space == memory_space::device && permutation.size() > 1 && stride != 1)
    check::fail(op, "permutation", "stride " + check::text(stride), "stride 1");
}

}  // namespace detail

/// Writes the draws of a mix for a batch: N weights and N partners (row i is mixed with row
/// permutation[i]). with_weights with the permuted rows then equals the mix. On a GPU the
/// permutation must be contiguous.
template <any_context Context, weighted_mix Mix, class C>
requires std::same_as<C, float> || std::same_as<C, double>
void draw(Context& ctx, const Mix& mix, const random_key& key,
          vector_view<C, Context::space> weights,
          vector_view<index_t, Context::space> permutation) {
  constexpr std::string_view op = "draw";
  check::writable(op, "weights", weights);
  check::writable(op, "permutation", permutation);
  check::has_size(op, "permutation", permutation, weights.size(), "one a weight");
  check::call_memory(op)
      .writes("weights", weights)
      .writes("permutation", permutation)
      .require_apart();
  detail::check_draw<Context>(mix, key, weights.size(), 1);
  if (weights.empty()) return;
  require_reachable(ctx, op, "weights", weights);
  detail::require_permutation_reachable(ctx, op, permutation);
  using on_context = detail::mix_on<Context>;
  on_context::draw_weights(ctx, mix, key, weights);
  on_context::draw_partners(ctx, key.streams_later(1), permutation);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
