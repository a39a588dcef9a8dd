// What interpolate and extrapolate share: out = w·x + (1 − w)·partner, a weight and a partner for
// every row.
#pragma once

#include <cmath>
#include <string_view>
#include <type_traits>
#include <vector>

#include "feaug/augment/augmentation.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/random_beta.hpp"
#include "feaug/core/random_permutation.hpp"
#include "feaug/core/row_selection.hpp"
#include "feaug/cpu/augment/mix_row.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/cpu/core/put_gradient.hpp"
#include "feaug/cpu/core/rows.hpp"
#include "feaug/cpu/core/streaming.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Where a weight comes from.
enum class weight_distribution { fixed, uniform, beta };

/// How often one is drawn.
enum class draw_per { row, call };

/// A mix that draws a weight for every row.
template <class Mix>
concept weighted_mix = requires(const Mix& mix) {
  mix.distribution;
  Mix::least;
  Mix::most;
};

/// A mix with a partner of the caller's choice: see with_partner and with_weights.
template <class Mix, element T, memory_space Space = memory_space::host>
struct partnered {
  Mix mix;
  operand<T, 2, Space> partner;  ///< N × D: another view, neighbours, rows of a queue
  /// N weights of x that were drawn before; empty: the mix draws. On a GPU their range is not
  /// checked.
  vector_view<const compute_t<T>, Space> weights = {};
};

/// `mix` with the rows of `partner` (N × D) instead of a permutation of the batch. As an operand,
/// partner gets its gradient, (1 − w)·g of interpolate and extrapolate; as a view it is a constant.
template <class Mix, element T, memory_space S>
partnered<Mix, T, S> with_partner(const Mix& mix, const operand<T, 2, S>& partner) {
  return {.mix = mix, .partner = partner};
}
template <class Mix, class T, memory_space S>
partnered<Mix, std::remove_const_t<T>, S> with_partner(const Mix& mix,
                                                       const matrix_view<T, S>& partner) {
  return {.mix = mix, .partner = stop_gradient(partner)};
}

/// The form that takes the draw: N weights of x, and the partner.
template <weighted_mix Mix, element T, memory_space S>
partnered<Mix, T, S> with_weights(
    const Mix& mix, const operand<T, 2, S>& partner,
    std::type_identity_t<vector_view<const compute_t<T>, S>> weights) {
  return {.mix = mix, .partner = partner, .weights = weights};
}

namespace detail {

/// The weight of x in row i; the mix says its range.
template <class Mix>
FEAUG_HD float draw_weight(const Mix& mix, random_key key, index_t row) {
  if (mix.per == draw_per::call) {
    key.row_offset = 0;  // one weight for all micro-batches and ranks
    row = 0;
  }
  switch (mix.distribution) {
    case weight_distribution::uniform:
      return std::fma(mix.high - mix.low, draw_uniform(key, row, 0), mix.low);
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

/// The partner is a permutation of the batch. Streams: the weights', the permutation's.
template <class Mix>
struct permuted_mix_traits : augmentation_defaults {
  static constexpr int streams = 2;
  static constexpr bool mixes_rows = true;

  static void validate(const Mix& mix, index_t /*rows*/, index_t /*cols*/) {
    check_mix(augmentation_traits<Mix>::name, mix);
  }

  template <element T>
  static void forward(cpu_context& ctx, const Mix& mix, matrix_view<const T> x,
                      const random_key& key, const row_selection& selection, matrix_view<T> out) {
    workspace::scope scope(ctx.workspace);
    auto* permutation = scope.take<index_t>(x.rows());
    draw_permutation(key.streams_later(1), permutation, x.rows());
    const bool past_caches = cpu::worth_streaming(out, x);
    const instruction_set instructions = cpu::usable(ctx.instructions);
    cpu::for_each_row(ctx, x.rows(), x.cols(), selection, [&](index_t i, int) {
      const auto weight = static_cast<compute_t<T>>(draw_weight(mix, key, i));
      cpu::mix_row<T>(instructions,
                      {.x = x.row(i),
                       .y = x.row(permutation[i]),
                       .of_x = weight,
                       .of_y = 1 - weight,
                       .next_y = i + 1 < x.rows() ? x.row(permutation[i + 1]) : nullptr},
                      x.cols(), past_caches, out.row(i));
    });
  }

  /// A row of x was mixed into its own output and into that of the one row whose partner it is.
  template <element T>
  static void backward(cpu_context& ctx, const Mix& mix, const operand<T>& x, const random_key& key,
                       const row_selection& selection, matrix_view<const T> grad_out) {
    using C = compute_t<T>;
    const index_t rows = x.value.rows();
    workspace::scope scope(ctx.workspace);
    auto* permutation = scope.take<index_t>(rows);
    auto* partner_of = scope.take<index_t>(rows);
    draw_permutation(key.streams_later(1), permutation, rows);
    for (index_t i = 0; i < rows; ++i) partner_of[permutation[i]] = i;
    const auto weight = [&](index_t i) { return static_cast<C>(draw_weight(mix, key, i)); };
    const bool past_caches = cpu::streams_gradient(x, grad_out);
    const instruction_set instructions = cpu::usable(ctx.instructions);
    cpu::for_each_row(ctx, rows, x.value.cols(), {}, [&](index_t i, int) {
      const index_t other = partner_of[i];
      const bool own = selection.contains(i);
      const bool lent = selection.contains(other);
      if (own && lent && x.mode == gradient_mode::overwrite) {
        cpu::mix_row<T>(instructions,
                        {.x = grad_out.row(i),
                         .y = grad_out.row(other),
                         .of_x = weight(i),
                         .of_y = 1 - weight(other),
                         .next_y = i + 1 < rows ? grad_out.row(partner_of[i + 1]) : nullptr},
                        x.value.cols(), past_caches, x.gradient.row(i));
        return;
      }
      const C own_weight = own ? weight(i) : C{0};
      const C lent_weight = lent ? C{1} - weight(other) : C{0};
      // A row that is not selected does not read its gradient: it may hold anything.
      const T* const own_gradient = grad_out.row(i);
      const T* const lent_gradient = grad_out.row(other);
      cpu::put_gradient(
          x, i,
          [=](index_t j) {
            const C from_own = own ? own_weight * load(own_gradient[j]) : C{0};
            const C from_other = lent ? lent_weight * load(lent_gradient[j]) : C{0};
            return from_own + from_other;
          },
          past_caches);
    });
  }
};

/// What all mixes with the caller's partner share. Streams: the weights'.
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
      check::readable(name, "weights", policy.weights);
      check::has_size(name, "weights", policy.weights, rows, "one a row");
      for (index_t i = 0; S == memory_space::host && i < rows; ++i) {
        const auto weight = policy.weights[i];
        if (weight >= Mix::least && weight <= Mix::most) continue;
        check::fail(name, "weights", check::text(weight) + " in row " + check::text(i), Mix::range);
      }
    }
  }
  template <class T>
  static void check_forward(const policy_type& policy, const matrix_view<T, S>& out, bool alone) {
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

 protected:
  /// The weight of x in row i, on the CPU.
  static compute_t<U> weight(const policy_type& policy, const random_key& key, index_t i) {
    if (policy.weights.data != nullptr) return policy.weights[i];
    return static_cast<compute_t<U>>(draw_weight(policy.mix, key, i));
  }
};

}  // namespace detail

/// The partner is the caller's. Streams: the weights'.
template <class Mix, element U, memory_space S>
struct augmentation_traits<partnered<Mix, U, S>> : detail::partnered_mix_traits<Mix, U, S> {
  using base = detail::partnered_mix_traits<Mix, U, S>;
  using typename base::policy_type;

  template <element T>
  static void forward(cpu_context& ctx, const policy_type& policy, matrix_view<const T> x,
                      const random_key& key, const row_selection& selection, matrix_view<T> out) {
    const bool past_caches =
        cpu::worth_streaming(out, x) && cpu::worth_streaming(out, policy.partner.value);
    const instruction_set instructions = cpu::usable(ctx.instructions);
    cpu::for_each_row(ctx, x.rows(), x.cols(), selection, [&](index_t i, int) {
      const compute_t<T> weight = base::weight(policy, key, i);
      cpu::mix_row<T>(
          instructions,
          {.x = x.row(i), .y = policy.partner.value.row(i), .of_x = weight, .of_y = 1 - weight},
          x.cols(), past_caches, out.row(i));
    });
  }

  template <element T>
  static void backward(cpu_context& ctx, const policy_type& policy, const operand<T>& x,
                       const random_key& key, const row_selection& selection,
                       matrix_view<const T> grad_out) {
    using C = compute_t<T>;
    cpu::for_each_row(ctx, x.value.rows(), x.value.cols(), {}, [&](index_t i, int) {
      if (!selection.contains(i)) {
        cpu::put_gradient(policy.partner, i, [](index_t) { return C{0}; });
        return;
      }
      const C w = base::weight(policy, key, i);
      // The partner first: x's destination may be grad_out itself.
      const T* const gradient = grad_out.row(i);
      cpu::put_gradient(policy.partner, i,
                        [=](index_t j) { return (C{1} - w) * load(gradient[j]); });
      cpu::put_gradient(x, i, [=](index_t j) { return w * load(gradient[j]); });
    });
  }
};

/// What a mix draws from the key for a batch: N weights and N partners (row i is mixed with row
/// permutation[i]). with_weights over the rows so permuted then does what the mix would.
template <weighted_mix Mix, class C>
requires(std::same_as<C, float> ||
         std::same_as<C, double>) void draw(cpu_context& /*ctx*/, const Mix& mix,
                                            const random_key& key, vector_view<C> weights,
                                            vector_view<index_t> permutation) {
  check::writable("draw", "weights", weights);
  check::writable("draw", "permutation", permutation);
  check::has_size("draw", "permutation", permutation, weights.size(), "one a weight");
  check::usable("draw", key, weights.size(), 1, augmentation_traits<Mix>::streams);
  augmentation_traits<Mix>::validate(mix, weights.size(), 1);
  for (index_t i = 0; i < weights.size(); ++i)
    weights[i] = static_cast<C>(detail::draw_weight(mix, key, i));
  std::vector<index_t> order(static_cast<std::size_t>(weights.size()));
  draw_permutation(key.streams_later(1), order.data(), weights.size());
  for (index_t i = 0; i < permutation.size(); ++i)
    permutation[i] = order[static_cast<std::size_t>(i)];
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
