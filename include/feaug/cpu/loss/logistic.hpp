// The pass over logits for pairwise sigmoid losses: every pair has its own binary cross-entropy.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <concepts>
#include <type_traits>

#include "feaug/core/function_ref.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/exponential.hpp"
#include "feaug/cpu/core/lanes.hpp"
#include "feaug/cpu/loss/contrast_problem.hpp"
#include "feaug/cpu/loss/logit_tile.hpp"
#include "feaug/cpu/loss/tile_packing.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// log(1 + e) for e in [0, 1] within 2 ulp, without branches: the series of 2·artanh(e / (2 + e)),
/// with 8 terms for float and 18 for double.
template <class C>
C log_one_plus(C e) {
  constexpr int terms = std::same_as<C, float> ? 8 : 18;
  const C z = e / (C{2} + e);
  const C square = z * z;
  C series = C{1} / C{2 * terms - 1};
  for (int k = terms - 2; k >= 0; --k) series = series * square + C{1} / static_cast<C>(2 * k + 1);
  return C{2} * z * series;
}

/// Replaces the cosine x[j] with σ(s), s = scale · x[j] + bias; if with_losses, losses[j] = log(1 +
/// eˢ). One exponential gives both without cancellation: σ(s) and 1 − σ(s) = σ(−s) are quotients of
/// it.
template <bool with_losses, class C>
void logistic_terms(C* x, C* losses, index_t count, C scale, C bias) {
  for_each_in_lanes(count, [=](index_t j) {
    const C s = scale * x[j] + bias;
    const C e = fast_exp(s < C{0} ? s : -s);
    x[j] = (s < C{0} ? e : C{1}) / (C{1} + e);
    if constexpr (with_losses) losses[j] = (s > C{0} ? s : C{0}) + log_one_plus(e);
  });
}

/// Sums over a row's pairs, excluding its positive.
struct logistic_sums {
  double loss;             ///< Σ log(1 + exp s_j)
  double weight;           ///< Σ σ(s_j)
  double weighted_cosine;  ///< Σ σ(s_j) · (row · column_j)
};

/// Called by logistic_pass for every row.
template <class C>
using logistic_finish = std::type_identity_t<
    feaug::detail::function_ref<void(index_t row, const logistic_sums& found, C* sums)>>;

/// For every row, once and in any order, calls finish(i, logistic_sums, sums), with s_ij =
/// problem.scale · row_i · column_j + bias and sums = Σ_j w_j σ(s_ij) column_j over the columns
/// except the positive. w_j is 1 if `column_weight` is null. sums has `cols` numbers, which finish
/// may change; it is null unless `with_columns`. Unless `losses_wanted`, logistic_sums are 0.
/// Limited by one product (2·cols FLOP) and one exponential per logit; a second product if
/// `with_columns`; with losses also a series of 8 terms (18 for double).
template <class C>
void logistic_pass(cpu_context& ctx, const contrast_problem<C>& problem, double bias,
                   const double* column_weight, bool losses_wanted, bool with_columns,
                   const logistic_finish<C>& finish) {
  const detail::tiling tiles(ctx, problem.rows.rows(), problem.cols);
  const auto scale = static_cast<C>(problem.scale);
  const auto offset = static_cast<C>(bias);
  const index_t stride = packed_stride(problem.cols);
  workspace::scope scratch(ctx.workspace);
  struct worker_scratch {
    detail::logit_tile<C> tile;
    C* columns;
    C* losses;
    C* cosines;
    C* factors;
    logistic_sums* sums;
  };
  const auto make = [&] {
    return worker_scratch{
        .tile = detail::logit_tile<C>(ctx, scratch, problem, tiles),
        .columns = with_columns ? scratch.take<C>(tiles.block_rows * stride) : nullptr,
        .losses = scratch.take<C>(tiles.chunk_cols),
        .cosines = scratch.take<C>(tiles.chunk_cols),
        .factors = scratch.take<C>(tiles.chunk_cols),
        .sums = scratch.take<logistic_sums>(tiles.block_rows)};
  };
  const auto add_losses = [&](worker_scratch& my, index_t i, index_t width) {
    C* const weights = my.tile.row(i);
    std::copy_n(weights, width, my.cosines);
    logistic_terms<true>(weights, my.losses, width, scale, offset);
    my.tile.for_each_left_out(i, [&](index_t j) { weights[j] = my.losses[j] = C{0}; });
    for (index_t j = 0; j < width; ++j) my.cosines[j] *= weights[j];
    my.sums[i].loss += sum_of(my.losses, width);
    my.sums[i].weight += sum_of(weights, width);
    my.sums[i].weighted_cosine += sum_of(my.cosines, width);
  };
  detail::for_each_tile_row(
      ctx, problem.rows.rows(), tiles, make, [&](index_t begin, index_t count, worker_scratch& my) {
        my.tile.load_rows(begin, count);
        std::fill_n(my.sums, count, logistic_sums{});
        if (with_columns) std::fill_n(my.columns, count * stride, C{0});
        my.tile.for_each_chunk(tiles, [&](index_t first, index_t width) {
          for (index_t j = 0; column_weight != nullptr && j < width; ++j)
            my.factors[j] = static_cast<C>(column_weight[first + j]);
          for (index_t i = 0; i < count; ++i) {
            C* const weights = my.tile.row(i);
            if (losses_wanted) {
              add_losses(my, i, width);
            } else {
              logistic_terms<false>(weights, my.losses, width, scale, offset);
              my.tile.for_each_left_out(i, [&](index_t j) { weights[j] = C{0}; });
            }
            for (index_t j = 0; column_weight != nullptr && j < width; ++j)
              weights[j] *= my.factors[j];
          }
          if (with_columns) my.tile.add_weighted_columns(my.columns);
        });
        for (index_t i = 0; i < count; ++i)
          finish(begin + i, my.sums[i], with_columns ? my.columns + i * stride : nullptr);
      });
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
