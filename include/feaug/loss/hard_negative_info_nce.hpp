// InfoNCE with synthetic hard negatives, made from each query's hardest negatives and never stored
// (MoCHi and SynCo).
#pragma once

#include "feaug/header_begin.hpp"

#include <cmath>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include "feaug/augment/noise.hpp"
#include "feaug/core/any_context.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/elementary.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/finite.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/random_normal.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/loss/info_nce.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/loss_verbs.hpp"
#include "feaug/loss/row_reduction.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Number of synthetic negatives of each kind per query q, in this order. n and m are two of its
/// hardest negatives, drawn independently for each synthetic negative. With all counts 0 there are
/// none; this serves as a warm-up.
struct synthetic_counts {
  index_t interpolated = 0;  ///< unit(a·q + (1 − a)·n), a uniform in [0, interpolation_limit)
  index_t extrapolated = 0;  ///< unit(q + b·(n − q)), b uniform in [1, extrapolation_limit]
  index_t mixed = 0;         ///< unit(g·n + (1 − g)·m), g uniform in [0, 1); m may be n
  index_t noisy = 0;         ///< unit(n + noise_scale·ε), ε standard normal
  index_t stepped = 0;  ///< unit(n + step·q): a step along the gradient of ⟨q, n⟩ w.r.t. n
  index_t sign_stepped = 0;  ///< unit(n + sign_step·sign(q))

  [[nodiscard]] FEAUG_HD constexpr index_t total() const {
    return weighted() + noisy + stepped + sign_stepped;
  }
  /// Number of the first three kinds, which have a weight.
  [[nodiscard]] FEAUG_HD constexpr index_t weighted() const {
    return interpolated + extrapolated + mixed;
  }
};

/// The counts of MoCHi (Kalantidis et al., arXiv 2010.01028).
inline constexpr synthetic_counts mochi_counts = {.interpolated = 128, .mixed = 1024};
/// The counts of SynCo (Giakoumoglou and Stathaki, arXiv 2410.02401).
inline constexpr synthetic_counts synco_counts = {.interpolated = 256,
                                                  .extrapolated = 256,
                                                  .mixed = 256,
                                                  .noisy = 64,
                                                  .stepped = 64,
                                                  .sign_stepped = 64};

/// Precomputed draws; row i belongs to query i. Columns follow the order of synthetic_counts.
template <element T, memory_space Space = memory_space::host>
struct drawn_synthesis {
  /// N × total: n as a rank among the hardest, 0 … hardest − 1. On a GPU, a synthetic negative with
  /// a rank out of range is skipped.
  matrix_view<const index_t, Space> first = {};
  matrix_view<const index_t, Space> second = {};  ///< N × mixed: m, as a rank
  /// N × (interpolated + extrapolated + mixed): a, b or g, any number
  matrix_view<const compute_t<T>, Space> weights = {};
  matrix_view<const compute_t<T>, Space> noise = {};  ///< N·noisy × D: ε, query 0's first

  [[nodiscard]] FEAUG_HD constexpr bool given() const { return first.data != nullptr; }
};

/// How the synthetic negatives are made. They are constants: the gradient reaches only the query,
/// through its product with them.
template <element T, memory_space Space = memory_space::host>
struct synthetic_negatives {
  /// Size of each query's pool of hardest negatives: those nearest to the query by cosine, as
  /// `nearest` finds them; 1 … K.
  index_t hardest = 1024;
  synthetic_counts counts = {};
  float interpolation_limit = 0.5F;  ///< in [0, 1]
  float extrapolation_limit = 1.5F;  ///< at least 1
  float noise_scale = 0.01F;         ///< at least 0
  float step = 0.01F;
  float sign_step = 0.01F;
  /// Draws come from two streams. Synthetic negative s of query i reads block s of row i of the
  /// first stream for n, m and the weight. The noise ε of noisy negative t of query i is row
  /// i·noisy + t of the second stream.
  random_key key = {};
  /// Sample ids of the K negatives and of the N queries: a query's own sample is excluded from its
  /// hardest. If fewer than `hardest` remain, missing ranks are still drawn; synthetic negatives
  /// that need a missing row are skipped.
  vector_view<const std::int64_t, Space> ids = {};
  vector_view<const std::int64_t, Space> exclude_ids = {};
  /// Precomputed draws, used instead of the key.
  drawn_synthesis<T, Space> drawn = {};
};

namespace detail {

/// One synthetic negative before it is divided by its norm: of_query·q + of_first·n + of_second·m +
/// of_signs·sign(q) + of_noise·ε.
struct synthetic_recipe {
  index_t first = 0;    ///< n's rank
  index_t second = -1;  ///< m's rank; −1: not used
  index_t noise = -1;   ///< the row of noise; −1: not used
  double of_query = 0;
  double of_first = 1;
  double of_second = 0;
  double of_signs = 0;
  double of_noise = 0;

  /// Whether all required rows were found. `slots` are the slots of the query's hardest negatives.
  [[nodiscard]] FEAUG_HD bool can_be_made(const index_t* slots, index_t hardest) const {
    if (first < 0 || first >= hardest || slots[first] < 0) return false;
    return feaug::detail::is_equal(of_second, 0) ||
           (second >= 0 && second < hardest && slots[second] >= 0);
  }
};

/// Maps a random word to a rank, uniformly.
FEAUG_HD constexpr index_t rank_from_word(std::uint32_t word, index_t ranks) {
  return static_cast<index_t>(
      (static_cast<std::uint64_t>(word) * static_cast<std::uint64_t>(ranks)) >> 32);
}

/// The key of the noise: one row per noisy negative.
FEAUG_HD inline random_key noise_key(random_key key, index_t noisy) {
  key = key.streams_later(1);
  key.row_offset *= noisy;
  return key;
}

/// The recipe of synthetic negative s of query i. `key` is how.key, resolved.
template <element T, memory_space S>
FEAUG_HD synthetic_recipe recipe_of(const synthetic_negatives<T, S>& how, const random_key& key,
                                    index_t i, index_t s) {
  const synthetic_counts& counts = how.counts;
  const bool is_drawn = how.drawn.given();
  random_block block = {};
  if (!is_drawn) block = draw_block(key, i, static_cast<std::uint32_t>(s));
  const auto weight = [&](float low, float high) {
    if (is_drawn) return static_cast<double>(how.drawn.weights(i, s));
    return static_cast<double>(
        feaug::detail::fma(high - low, uniform_from_word(block.words[2]), low));
  };
  synthetic_recipe recipe;
  recipe.first = is_drawn ? how.drawn.first(i, s) : rank_from_word(block.words[0], how.hardest);
  index_t of_kind = s;
  if (of_kind < counts.interpolated) {
    recipe.of_query = weight(0.0F, how.interpolation_limit);
    recipe.of_first = 1 - recipe.of_query;
    return recipe;
  }
  of_kind -= counts.interpolated;
  if (of_kind < counts.extrapolated) {
    recipe.of_first = weight(1.0F, how.extrapolation_limit);
    recipe.of_query = 1 - recipe.of_first;
    return recipe;
  }
  of_kind -= counts.extrapolated;
  if (of_kind < counts.mixed) {
    recipe.second =
        is_drawn ? how.drawn.second(i, of_kind) : rank_from_word(block.words[1], how.hardest);
    recipe.of_first = weight(0.0F, 1.0F);
    recipe.of_second = 1 - recipe.of_first;
    return recipe;
  }
  of_kind -= counts.mixed;
  if (of_kind < counts.noisy) {
    recipe.noise = i * counts.noisy + of_kind;
    recipe.of_noise = static_cast<double>(how.noise_scale);
    return recipe;
  }
  of_kind -= counts.noisy;
  if (of_kind < counts.stepped) {
    recipe.of_query = static_cast<double>(how.step);
  } else {
    recipe.of_signs = static_cast<double>(how.sign_step);
  }
  return recipe;
}

FEAUG_HD constexpr double sign_of(double x) { return x > 0 ? 1.0 : x < 0 ? -1.0 : 0.0; }

/// 1 / ‖h‖, or 0 for a mixture of norm ≤ 1e-12: it has no direction, and its cosine with everything
/// is 0.
FEAUG_HD inline double inverse_of_synthetic(double square_sum) {
  const double norm = feaug::detail::sqrt(square_sum);
  return !is_nan(norm) && norm <= default_norm_eps ? 0.0 : 1.0 / norm;
}

/// log(eᵃ + eᵇ); −∞ stands for an empty sum.
FEAUG_HD inline double log_of_both(double a, double b) {
  if (feaug::detail::is_equal(b, -static_cast<double>(INFINITY))) return a;
  if (feaug::detail::is_equal(a, -static_cast<double>(INFINITY))) return b;
  return a + softplus(b - a);
}

/// ε of feature j, for row `row` of the noise. `key` is noise_key of the resolved key.
template <element T, memory_space S>
FEAUG_HD double noise_element(const synthetic_negatives<T, S>& how, const random_key& key,
                              index_t row, index_t j) {
  return static_cast<double>(how.drawn.given()
                                 ? how.drawn.noise(row, j)
                                 : static_cast<compute_t<T>>(draw_normal(key, row, j)));
}

/// The weight drawn for a negative of one of the first three kinds.
FEAUG_HD constexpr double weight_of(const synthetic_counts& counts, const synthetic_recipe& recipe,
                                    index_t s) {
  return s < counts.interpolated ? recipe.of_query : recipe.of_first;
}

/// Destinations of the draws of a synthesis, except the noise.
template <element T, memory_space Space>
struct synthesis_outputs {
  matrix_view<index_t, Space> first;
  matrix_view<index_t, Space> second;
  matrix_view<compute_t<T>, Space> weights;

  /// Writes the draws of synthetic negative s of query i. `key` is how.key, resolved.
  FEAUG_HD void write(const synthetic_negatives<T, Space>& how, const random_key& key, index_t i,
                      index_t s) const {
    const synthetic_recipe recipe = recipe_of(how, key, i, s);
    first(i, s) = recipe.first;
    if (recipe.second >= 0)
      second(i, s - how.counts.interpolated - how.counts.extrapolated) = recipe.second;
    if (s < how.counts.weighted())
      weights(i, s) = static_cast<compute_t<T>>(weight_of(how.counts, recipe, s));
  }
};

/// One call of the loss, see loss_verbs.hpp.
template <class Context, element T>
struct hard_negative_info_nce_call {
  static_assert(is_included<Context>,
                "include feaug/cpu/loss/hard_negative_info_nce.hpp or "
                "feaug/cuda/loss/hard_negative_info_nce.cuh");
};

/// run(ctx, how, outputs) calls outputs.write for every query and synthetic negative.
template <class Context, element T>
struct synthesis_draws {
  static_assert(is_included<Context>,
                "include feaug/cpu/loss/hard_negative_info_nce.hpp or "
                "feaug/cuda/loss/hard_negative_info_nce.cuh");
};

}  // namespace detail

namespace check {

/// Checks the numbers of a synthesis for `rows` queries, and its key unless draws are given.
template <element T, memory_space S>
void synthesis_numbers(std::string_view op, const synthetic_negatives<T, S>& how, index_t rows) {
  const synthetic_counts& counts = how.counts;
  constexpr index_t most = index_t{1} << 20;
  within(op, "counts.interpolated", counts.interpolated, 0, most);
  within(op, "counts.extrapolated", counts.extrapolated, 0, most);
  within(op, "counts.mixed", counts.mixed, 0, most);
  within(op, "counts.noisy", counts.noisy, 0, most);
  within(op, "counts.stepped", counts.stepped, 0, most);
  within(op, "counts.sign_stepped", counts.sign_stepped, 0, most);
  within(op, "interpolation_limit", static_cast<double>(how.interpolation_limit), 0.0, 1.0);
  if (!feaug::detail::is_finite(how.extrapolation_limit) || how.extrapolation_limit < 1.0F) {
    fail(op, "extrapolation_limit", text(how.extrapolation_limit), "a finite number of at least 1");
  }
  if (!feaug::detail::is_finite(how.noise_scale) || how.noise_scale < 0.0F)
    fail(op, "noise_scale", text(how.noise_scale), "a finite number of at least 0");
  finite(op, "step", static_cast<double>(how.step));
  finite(op, "sign_step", static_cast<double>(how.sign_step));
  if (how.drawn.given()) return;
  usable(op, how.key, rows, 0, 2, S);
  const index_t noisy = counts.noisy > 0 ? counts.noisy : 1;
  if (how.key.row_offset > (index_t{1} << 48) / noisy - rows) {
    fail(op, "random_key.row_offset", text(how.key.row_offset),
         "rows numbered below 2^48 / " + text(noisy) + ", since each has that many rows of noise");
  }
}

/// Checks precomputed draws for `rows` queries of `cols` features.
template <element T, memory_space S>
void synthesis_draws(std::string_view op, const synthetic_negatives<T, S>& how, index_t rows,
                     index_t cols) {
  const drawn_synthesis<T, S>& drawn = how.drawn;
  const auto fits = [&](std::string_view name, const auto& view, index_t view_rows,
                        index_t view_cols) {
    readable(op, name, view);
    if (view_rows * view_cols > 0)
      has_shape(op, name, view, view_rows, view_cols, "the queries and counts ask for");
  };
  fits("drawn.first", drawn.first, rows, how.counts.total());
  fits("drawn.second", drawn.second, rows, how.counts.mixed);
  fits("drawn.weights", drawn.weights, rows, how.counts.weighted());
  fits("drawn.noise", drawn.noise, rows * how.counts.noisy, cols);
  if constexpr (S == memory_space::host) {
    const auto ranks = [&](std::string_view name, const matrix_view<const index_t>& view) {
      for (index_t i = 0; i < view.rows(); ++i) {
        for (index_t s = 0; s < view.cols(); ++s) within(op, name, view(i, s), 0, how.hardest - 1);
      }
    };
    ranks("drawn.first", drawn.first);
    if (how.counts.mixed > 0) ranks("drawn.second", drawn.second);
  }
}

/// Checks a synthesis for these queries and negatives, and that nothing that the call writes overlaps
/// its inputs.
template <element T, memory_space S>
void synthesis(std::string_view op, const synthetic_negatives<T, S>& how,
               const operand<T, 2, S>& queries, const operand<T, 2, S>& keys,
               const operand<T, 2, S>& negatives,
               const feaug::detail::loss_vectors<compute_t<T>, S>& vectors) {
  const index_t rows = queries.value.rows();
  const index_t count = negatives.value.rows();
  synthesis_numbers(op, how, rows);
  if (how.counts.total() == 0) return;
  if (negatives.value.empty()) {
    fail(op, "negatives", "none",
         "at least one, to make " + text(how.counts.total()) + " synthetic ones a query from");
  }
  within(op, "hardest", how.hardest, 1, count);
  readable(op, "ids", how.ids);
  readable(op, "exclude_ids", how.exclude_ids);
  if (!how.exclude_ids.empty() || !how.ids.empty()) {
    has_size(op, "exclude_ids", how.exclude_ids, rows, "one a query, since there are ids");
    has_size(op, "ids", how.ids, count, "one a negative, since queries exclude by them");
  }
  if (!how.drawn.given() &&
      (how.drawn.second.data != nullptr || how.drawn.weights.data != nullptr ||
       how.drawn.noise.data != nullptr)) {
    fail(op, "drawn.first", "none", "all that is drawn, since part of it is given");
  }
  if (how.drawn.given()) synthesis_draws(op, how, rows, queries.value.cols());
  loss_memory(op, how, vectors)
      .uses("queries", queries)
      .uses("keys", keys)
      .uses("negatives", negatives)
      .reads("ids", how.ids)
      .reads("exclude_ids", how.exclude_ids)
      .reads("drawn.first", how.drawn.first)
      .reads("drawn.second", how.drawn.second)
      .reads("drawn.weights", how.drawn.weights)
      .reads("drawn.noise", how.drawn.noise)
      .require_apart();
}

/// Checks the destinations of `draw`.
template <element T, memory_space S, class C>
void synthesis_outputs(const synthetic_negatives<T, S>& how, const matrix_view<index_t, S>& first,
                       const matrix_view<index_t, S>& second, const matrix_view<C, S>& weights,
                       const matrix_view<C, S>& noise) {
  constexpr std::string_view op = "draw";
  const index_t rows = first.rows();
  if (how.drawn.given()) fail(op, "drawn", "draws that were made before", "none: a key to draw by");
  synthesis_numbers(op, how, rows);
  within(op, "hardest", how.hardest, 1, index_t{1} << 32);
  const auto fits = [&](std::string_view name, const auto& view, index_t view_rows,
                        index_t view_cols) {
    writable(op, name, view);
    if (view_rows * view_cols > 0)
      has_shape(op, name, view, view_rows, view_cols, "the rows of first and counts ask for");
  };
  fits("first", first, rows, how.counts.total());
  fits("second", second, rows, how.counts.mixed);
  fits("weights", weights, rows, how.counts.weighted());
  writable(op, "noise", noise);
  if (rows * how.counts.noisy > 0 && (noise.rows() != rows * how.counts.noisy || noise.empty())) {
    fail(op, "noise", shape(noise), text(rows * how.counts.noisy) + " rows of features");
  }
  apart(op, "second", second, "first", first);
  apart(op, "noise", noise, "weights", weights);
}

}  // namespace check

/// InfoNCE in which query i also has S synthetic negatives h of its own:
///     loss_i = −s_i,p(i) + log (Σ_j exp s_ij + Σ_h exp(⟨q_i, h⟩ / temperature)),
/// with s, p(i) and j as in info_nce (in_batch_negatives = false gives MoCo's loss). Synthetic
/// negatives are made from the `hardest` of options.negatives, those nearest to q_i by cosine, in
/// the six ways that synthetic_counts lists. MoCHi (Kalantidis et al., arXiv 2010.01028) uses
/// interpolated and mixed; SynCo (Giakoumoglou and Stathaki, arXiv 2410.02401) uses all six. q and
/// n are unit rows, or the rows as given if normalize = false; h is always a unit row. A mixture of
/// norm ≤ 1e-12 has no direction; its logit is 0. With all counts 0 the result equals info_nce bit
/// for bit, and no search runs.
///
/// Shapes, reduction, statistics and errors as in info_nce. Further errors: counts below 0,
/// `hardest` outside 1 … K, synthetic negatives without negatives, ids for one side only, given
/// ranks out of range. On a GPU ranks are not checked: a negative whose rank is out of range is
/// skipped. Never stores the N × S × D synthetic rows: each is made from its draws when it is used.
template <any_context Context, class Q, class K, class T = std::remove_const_t<Q>>
requires same_element<Q, K>
void hard_negative_info_nce(
    Context& ctx, const matrix_view<Q, Context::space>& queries,
    const matrix_view<K, Context::space>& keys,
    const std::type_identity_t<synthetic_negatives<T, Context::space>>& synthesis,
    loss_destination<Context, T> loss,
    const std::type_identity_t<info_nce_options<T, Context::space>>& options = {},
    statistics_destination<Context, T> statistics = {}) {
  constexpr std::string_view op = "hard_negative_info_nce";
  detail::hard_negative_info_nce_call<Context, T> call(ctx, op, stop_gradient(queries),
                                                       stop_gradient(keys), synthesis, options,
                                                       {.statistics = statistics, .loss = loss});
  detail::run_forward(ctx, op, call, loss, statistics);
}

/// The same loss, returned as a number; for mean and sum only.
template <host_context Context, class Q, class K, class T = std::remove_const_t<Q>>
requires same_element<Q, K> compute_t<T> hard_negative_info_nce(
    Context& ctx, const matrix_view<Q>& queries, const matrix_view<K>& keys,
    const std::type_identity_t<synthetic_negatives<T>>& synthesis,
    const std::type_identity_t<info_nce_options<T>>& options = {}) {
  return detail::returned<T>("hard_negative_info_nce", options.reduction, [&](auto loss) {
    hard_negative_info_nce(ctx, queries, keys, synthesis, loss, options);
  });
}

/// The gradients from the `statistics` (N) that hard_negative_info_nce wrote, for a `cotangent` of
/// one element or N (reduce::none). The search and the draws are repeated. The gradient with
/// respect to a synthetic logit is its softmax weight; it reaches the query as weight · h /
/// temperature. h itself is a constant.
template <any_context Context, element T>
void hard_negative_info_nce_backward(
    Context& ctx, const operand<T, 2, Context::space>& queries,
    const operand<T, 2, Context::space>& keys,
    const std::type_identity_t<synthetic_negatives<T, Context::space>>& synthesis,
    loss_source<Context, T> statistics, loss_source<Context, T> cotangent,
    const std::type_identity_t<info_nce_options<T, Context::space>>& options = {}) {
  constexpr std::string_view op = "hard_negative_info_nce_backward";
  detail::hard_negative_info_nce_call<Context, T> call(
      ctx, op, queries, keys, synthesis, options,
      {.cotangent = cotangent, .kept_statistics = statistics});
  detail::run_backward(ctx, op, call, statistics, cotangent);
}

/// Loss and gradients in one call, for a cotangent of options.gradient_scale. If keys and negatives
/// are stopped, this takes one search and one pass over the logits.
template <any_context Context, element T>
void hard_negative_info_nce_with_gradients(
    Context& ctx, const operand<T, 2, Context::space>& queries,
    const operand<T, 2, Context::space>& keys,
    const std::type_identity_t<synthetic_negatives<T, Context::space>>& synthesis,
    loss_destination<Context, T> loss,
    const std::type_identity_t<info_nce_options<T, Context::space>>& options = {}) {
  constexpr std::string_view op = "hard_negative_info_nce_with_gradients";
  detail::hard_negative_info_nce_call<Context, T> call(ctx, op, queries, keys, synthesis, options,
                                                       {.loss = loss});
  detail::run_with_gradients(ctx, op, call, loss);
}

/// The same, with the loss returned as a number; for mean and sum only.
template <host_context Context, element T>
compute_t<T> hard_negative_info_nce_with_gradients(
    Context& ctx, const operand<T>& queries, const operand<T>& keys,
    const std::type_identity_t<synthetic_negatives<T>>& synthesis,
    const std::type_identity_t<info_nce_options<T>>& options = {}) {
  return detail::returned<T>(
      "hard_negative_info_nce_with_gradients", options.reduction, [&](auto loss) {
        hard_negative_info_nce_with_gradients(ctx, queries, keys, synthesis, loss, options);
      });
}

/// Writes what a synthesis draws with its key for first.rows() queries, in the layout of
/// drawn_synthesis. Views that are empty for its counts are not needed. Passing the results as
/// `drawn` gives the same synthetic negatives as the key.
template <any_context Context, element T>
void draw(Context& ctx, const synthetic_negatives<T, Context::space>& synthesis,
          const std::type_identity_t<matrix_view<index_t, Context::space>>& first,
          const std::type_identity_t<matrix_view<index_t, Context::space>>& second,
          const std::type_identity_t<matrix_view<compute_t<T>, Context::space>>& weights,
          const std::type_identity_t<matrix_view<compute_t<T>, Context::space>>& noise) {
  constexpr std::string_view op = "draw";
  check::synthesis_outputs(synthesis, first, second, weights, noise);
  require_reachable(ctx, op, "first", first);
  require_reachable(ctx, op, "second", second);
  require_reachable(ctx, op, "weights", weights);
  require_reachable(ctx, op, "noise", noise);
  if (first.rows() * synthesis.counts.total() == 0) return;
  detail::synthesis_draws<Context, T>::run(ctx, synthesis, {first, second, weights});
  if (synthesis.counts.noisy == 0) return;
  draw(ctx, gaussian_noise{}, detail::noise_key(synthesis.key, synthesis.counts.noisy), noise);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
