// The two passes over logits on which the contrastive losses are built. Logits are stored in a tile
// that stays in the cache.
//
// Both passes process the rows in blocks and, for each block, the columns in chunks. A tile is one
// small matrix product, and it is consumed immediately. A block's results do not depend on other
// blocks' outputs, so results have the same bits for any number of threads. The positive is
// excluded from the softmax sums: with n = log Σ_{j≠p} exp s_j,
//     loss = log(1 + exp(n − s_p)),     1 − p_p = σ(n − s_p),
// which is accurate when s_p is much larger than n; computing 1 − p_p by subtraction would cancel
// all digits there.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <limits>

#include "feaug/core/element.hpp"
#include "feaug/core/elementary.hpp"
#include "feaug/core/finite.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/cpu/core/lanes.hpp"
#include "feaug/cpu/core/parallel.hpp"
#include "feaug/cpu/core/row_arithmetic.hpp"
#include "feaug/cpu/loss/concatenated_rows.hpp"
#include "feaug/cpu/loss/contrast_problem.hpp"
#include "feaug/cpu/loss/fixed_max_softmax.hpp"
#include "feaug/cpu/loss/logit_tile.hpp"
#include "feaug/cpu/loss/logit_weights.hpp"
#include "feaug/cpu/loss/tile_packing.hpp"
#include "feaug/loss/pairing.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

namespace detail {

/// The online softmax sum of one row: Σ exp(s − shift) so far.
template <class C>
struct running_sum {
  C shift = -std::numeric_limits<C>::infinity();
  double sum = 0;
  double cosine_sum = 0;
  double positive_sum = 0;  ///< of the positives' logits; with labels

  /// Adds a chunk of cosines and replaces them with exp(s − shift). Returns the factor by which
  /// earlier weighted sums must be multiplied.
  C take(instruction_set instructions, logit_row<C> row, C* copy) {
    const C before = shift;
    shift = std::max(shift, row.scale * largest_of(row.x, row.count));
    // Only −∞ (all excluded) or NaN so far: any finite shift gives the correct 0 or NaN.
    const C used = feaug::detail::is_finite(shift) ? shift : C{0};
    if (copy != nullptr) std::copy_n(row.x, row.count, copy);
    row.shift = used;
    const C rescale = feaug::detail::is_finite(before) ? feaug::detail::exp(before - used) : C{1};
    sum = sum * static_cast<double>(rescale) + exponentials_of<C>(instructions, row);
    if (copy != nullptr) {
      // Excluded columns have weight 0 and cosine −∞.
      cosine_sum =
          cosine_sum * static_cast<double>(rescale) + sum_of_weighted(row.x, copy, row.count);
    }
    return rescale;
  }

  [[nodiscard]] double log_sum_exp() const {
    if (feaug::detail::is_equal(sum, 0)) return -std::numeric_limits<double>::infinity();
    return (feaug::detail::is_finite(shift) ? static_cast<double>(shift) : 0.0) +
           feaug::detail::log(sum);
  }
};

}  // namespace detail

/// For every row, calls `finish` (see row_finish) with its softmax over the columns, excluding the
/// positive; with the mean column if `with_mean`. Limited by one product (2·cols FLOP) and one
/// exponential per logit; a second product if `with_mean`. With stopped columns this gives the loss
/// and its whole gradient.
template <class C>
void softmax_pass(cpu_context& ctx, const contrast_problem<C>& problem, bool with_mean,
                  bool with_mean_cosine, const row_finish<C>& finish) {
  if (!problem.labels.given() && detail::has_fixed_max(problem)) {
    detail::fixed_max_softmax(ctx, problem, with_mean, with_mean_cosine, finish);
    return;
  }
  const detail::tiling tiles(ctx, problem.rows.rows(), problem.cols);
  const auto scale = static_cast<C>(problem.scale);
  const index_t stride = packed_stride(problem.cols);
  workspace::scope scratch(ctx.workspace);
  struct worker_scratch {
    detail::logit_tile<C> tile;
    C* means;
    C* cosines;
    detail::running_sum<C>* sums;
  };
  const auto make = [&] {
    return worker_scratch{.tile = detail::logit_tile<C>(ctx, scratch, problem, tiles),
                          .means = with_mean ? scratch.take<C>(tiles.block_rows * stride) : nullptr,
                          .cosines = with_mean_cosine ? scratch.take<C>(tiles.chunk_cols) : nullptr,
                          .sums = scratch.take<detail::running_sum<C>>(tiles.block_rows)};
  };
  detail::for_each_tile_row(
      ctx, problem.rows.rows(), tiles, make, [&](index_t begin, index_t count, worker_scratch& my) {
        my.tile.load_rows(begin, count);
        std::fill_n(my.sums, count, detail::running_sum<C>{});
        if (with_mean) std::fill_n(my.means, count * stride, C{0});
        my.tile.for_each_chunk(tiles, [&](index_t /*first*/, index_t /*width*/) {
          for (index_t i = 0; i < count; ++i) {
            if (problem.labels.given()) {
              C* const cosines = my.tile.row(i);
              my.tile.for_each_left_out(i, [&](index_t j) { cosines[j] = C{0}; });
              my.sums[i].positive_sum += my.tile.sum_of_positives(i, scale);
            }
            const C rescale = my.sums[i].take(my.tile.instructions(),
                                              my.tile.row_to_weigh(i, scale, C{0}), my.cosines);
            if (with_mean && !feaug::detail::is_equal(rescale, C{1})) {
              scale_row(my.tile.instructions(), my.means + i * stride, problem.cols,
                        static_cast<double>(rescale), my.means + i * stride);
            }
          }
          if (with_mean) my.tile.add_weighted_columns(my.means);
        });
        for (index_t i = 0; i < count; ++i) {
          const detail::running_sum<C>& sum = my.sums[i];
          const double share = feaug::detail::is_equal(sum.sum, 0) ? 0.0 : 1.0 / sum.sum;
          C* mean = with_mean ? my.means + i * stride : nullptr;
          if (with_mean) scale_row(my.tile.instructions(), mean, problem.cols, share, mean);
          const index_t row = begin + i;
          row_statistics found = {.log_sum_exp = sum.log_sum_exp(),
                                  .positive_cosine = 0,
                                  .mean_cosine = sum.cosine_sum * share};
          if (problem.labels.given()) {
            found.positive_logit = sum.positive_sum * problem.labels.positive_share[row];
            found.positive_cosine = found.positive_logit / static_cast<double>(scale);
          } else if (problem.pairs.positive(row) >= 0) {
            found.positive_cosine =
                problem.rows.dot(row, problem.positives, problem.pairs.positive(row), problem.cols);
          }
          finish(row, found, mean);
        }
      });
}

namespace detail {

/// For a row whose sum was empty (log_sum_exp −∞) the shift is +∞, which makes every weight 0.
template <class C>
C finite_or_infinite_shift(double log_sum_exp) {
  return feaug::detail::is_equal(log_sum_exp, -std::numeric_limits<double>::infinity())
             ? std::numeric_limits<C>::infinity()
             : static_cast<C>(log_sum_exp);
}

}  // namespace detail

/// The gradient with respect to the rows, given the softmax of the rows over the columns, of the
/// columns over the rows, or both. Calls finish(i, sum_i) for every row, once and in any order,
/// with
///     sum_i = Σ_j (a_i·exp(s_ij − n_i) + b_j·exp(s_ij − m_j)) column_j
///             − (a_i + b_p(i)) positive_p(i).
/// a, n and b, m are the coefficients and log-sum-exps of rows and columns; j runs over the columns
/// that are not excluded. If positives have weights, a and b of the last term are multiplied by
/// them. With labels, which need both softmaxes, the last term is instead (a_i + b_j) / |positives
/// of i| column_j, summed over the positives j of i.
/// finish may change sum_i. With the sides exchanged, the pass gives the gradient with respect to
/// the columns. It uses no atomics, so the order of additions is fixed. Limited by two products
/// (4·cols FLOP) and one exponential per logit; two exponentials if both sides have a softmax and
/// there is no fixed shift.
template <class C>
void gradient_pass(cpu_context& ctx, const contrast_problem<C>& problem,
                   const softmax_weights& of_rows, const softmax_weights& of_columns,
                   const sum_finish<C>& finish) {
  const detail::tiling tiles(ctx, problem.rows.rows(), problem.cols);
  const auto scale = static_cast<C>(problem.scale);
  const bool row_side = of_rows.coefficient != nullptr;
  const bool column_side = of_columns.coefficient != nullptr;
  const index_t stride = packed_stride(problem.cols);
  // With labels, the difference between a weight and its positive's share can be small. Both are
  // then computed with the same roundings, below.
  const bool has_fixed_max = !problem.labels.given() && detail::has_fixed_max(problem);
  const C fixed = fixed_max<C>(problem.scale);
  workspace::scope scratch(ctx.workspace);
  struct worker_scratch {
    detail::logit_tile<C> tile;
    C* sums;
    C* shift;   // the columns' log-sum-exps …
    C* factor;  // … and coefficients, in the tile's type
  };
  const auto make = [&] {
    return worker_scratch{.tile = detail::logit_tile<C>(ctx, scratch, problem, tiles),
                          .sums = scratch.take<C>(tiles.block_rows * stride),
                          .shift = scratch.take<C>(tiles.chunk_cols),
                          .factor = scratch.take<C>(tiles.chunk_cols)};
  };
  detail::for_each_tile_row(
      ctx, problem.rows.rows(), tiles, make, [&](index_t begin, index_t count, worker_scratch& my) {
        my.tile.load_rows(begin, count);
        std::fill_n(my.sums, count * stride, C{0});
        my.tile.for_each_chunk(tiles, [&](index_t first, index_t width) {
          if (has_fixed_max) {
            std::fill_n(my.factor, padded_columns(width), C{0});
            for (index_t j = 0; column_side && j < width; ++j)
              my.factor[j] = weight_with_shift<C>(of_columns, first + j, fixed);
            for (index_t i = 0; i < count; ++i) {
              const C own = row_side ? weight_with_shift<C>(of_rows, begin + i, fixed) : C{0};
              my.tile.weigh_row(i, scale, fixed, own, my.factor);
            }
            my.tile.add_weighted_columns(my.sums);
            return;
          }
          // A side without weights, and the padding, have factor 0.
          constexpr C infinite = std::numeric_limits<C>::infinity();
          std::fill_n(my.shift, padded_columns(width), infinite);
          std::fill_n(my.factor, padded_columns(width), C{0});
          for (index_t j = 0; column_side && j < width; ++j) {
            my.shift[j] = detail::finite_or_infinite_shift<C>(of_columns.log_sum_exp[first + j]);
            my.factor[j] = static_cast<C>(of_columns.coefficient[first + j]);
          }
          for (index_t i = 0; i < count; ++i) {
            C* weights = my.tile.row(i);
            weigh_shifted<C>(my.tile.instructions(),
                             {.x = weights,
                              .count = padded_columns(width),
                              .scale = scale,
                              .shift = row_side ? detail::finite_or_infinite_shift<C>(
                                                      of_rows.log_sum_exp[begin + i])
                                                : infinite},
                             row_side ? static_cast<C>(of_rows.coefficient[begin + i]) : C{0},
                             {.shift = my.shift, .factor = my.factor});
            if (problem.labels.given()) {
              const auto own = static_cast<C>(of_rows.coefficient[begin + i]);
              const auto positive = static_cast<C>(problem.labels.positive_share[begin + i]);
              const C* const others = my.factor;
              my.tile.for_each_labelled(i, [=](index_t j, bool same) {
                const C positive_gradient = (own + others[j]) * positive;
                weights[j] -= same ? positive_gradient : C{0};
              });
            }
            my.tile.for_each_left_out(i, [&](index_t j) { weights[j] = C{0}; });
          }
          my.tile.add_weighted_columns(my.sums);
        });
        for (index_t i = 0; i < count; ++i) {
          C* sum = my.sums + i * stride;
          const index_t row = begin + i;
          const index_t positive = problem.pairs.positive(row);
          if (positive >= 0) {
            const double positive_gradient =
                of_rows.positive_gradient(row) + of_columns.positive_gradient(positive);
            problem.positives.add_row(positive, -positive_gradient, problem.cols, sum);
          }
          finish(row, sum);
        }
      });
}

/// Turns a row from gradient_pass (or softmax_pass's mean) into the gradient with respect to the
/// operand's unnormalised row, and writes it.
template <element T, class C>
void normalize_backward_and_store(const operand<T>& x, const concatenated_rows<T>& stack,
                                  index_t stack_row, index_t operand_row, double factor,
                                  C* gradient) {
  const index_t cols = x.value.cols();
  const instruction_set instructions = stack.instructions;
  scale_row(instructions, gradient, cols, factor, gradient);
  if (stack.inverse != nullptr) {
    unit_backward_row(instructions, x.value.row(operand_row), cols, stack.inverse[stack_row],
                      default_norm_eps, gradient);
  }
  write_gradient(instructions, x, operand_row, gradient);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
