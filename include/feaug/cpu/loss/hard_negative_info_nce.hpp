// InfoNCE with synthetic hard negatives, which are made from each query's hardest negatives and
// never stored: MoCHi and SynCo.
#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <string_view>
#include <type_traits>

#include "feaug/core/error.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/reduce.hpp"
#include "feaug/cpu/augment/noise.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/parallel.hpp"
#include "feaug/cpu/loss/contrast.hpp"
#include "feaug/cpu/loss/info_nce.hpp"
#include "feaug/cpu/loss/synthetic_rows.hpp"
#include "feaug/cpu/queue/exact_scan.hpp"
#include "feaug/cpu/queue/nearest.hpp"
#include "feaug/cpu/queue/score_rows.hpp"
#include "feaug/loss/hard_negative_info_nce.hpp"
#include "feaug/loss/info_nce.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/queue/nearest.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace detail {

/// A validated call: info_nce's, whose soft-maxes take in synthetic negatives, some rows at a time.
template <element T>
class hard_negative_info_nce_call {
 public:
  using C = compute_t<T>;

  hard_negative_info_nce_call(cpu_context& ctx, std::string_view op, const operand<T>& queries,
                              const operand<T>& keys, const synthetic_negatives<T>& how,
                              const info_nce_options<T>& options,
                              vector_view<const C> cotangent = {})
      : ctx_(ctx),
        how_(how),
        queries_(queries),
        negatives_(options.negatives.value),
        base_(ctx, op, queries, keys, options, cotangent) {
    check::synthesis(op, how, queries, keys, options.negatives);
  }

  void prepare() { base_.prepare(); }

  void forward(bool gradients) {
    if (how_.counts.total() == 0) {
      base_.forward(gradients);
    } else {
      forward_with_synthetic(gradients, {});
    }
  }
  void key_gradients() { base_.key_gradients(); }

  void backward(vector_view<const C> statistics) {
    if (how_.counts.total() == 0) {
      base_.backward(statistics);
    } else {
      forward_with_synthetic(true, statistics);
      base_.key_gradients();
    }
  }

  void write(vector_view<C> loss, vector_view<C> statistics) const {
    base_.write(loss, statistics);
  }
  [[nodiscard]] index_t outputs() const { return base_.reduction().outputs(); }

 private:
  /// How many queries are searched for and mixed at once: what is kept of them takes 4 MiB.
  [[nodiscard]] index_t rows_at_once() const {
    const index_t bytes_a_row = static_cast<index_t>(sizeof(index_t)) * how_.hardest +
                                static_cast<index_t>(sizeof(C)) * queries_.value.cols();
    const index_t fitting = (index_t{4} << 20) / bytes_a_row;
    const index_t whole_groups = fitting - fitting % cpu::query_lanes;
    return std::clamp<index_t>(whole_groups > 0 ? whole_groups : fitting, 1, queries_.value.rows());
  }

  /// Given statistics take the place of the log sums, as in any backward pass.
  void forward_with_synthetic(bool gradients, vector_view<const C> statistics) {
    const index_t rows = queries_.value.rows();
    const index_t cols = queries_.value.cols();
    const index_t at_once = rows_at_once();
    workspace::scope scratch(ctx_.workspace);
    auto* const slots = scratch.take<index_t>(at_once * how_.hardest);
    auto* const sums = scratch.take<cpu::synthetic_sums>(at_once);
    C* const means =
        gradients && queries_.wants_gradient() ? scratch.take<C>(at_once * cols) : nullptr;
    const cpu::synthesis_problem<T> problem = {.queries = base_.query_stack(),
                                               .negatives = base_.negative_stack(),
                                               .how = how_,
                                               .cols = cols,
                                               .scale = 1.0 / base_.temperature()};
    for (index_t begin = 0; begin < rows; begin += at_once) {
      const index_t count = std::min(at_once, rows - begin);
      find_hardest(begin, count, slots);
      cpu::synthetic_pass(ctx_, problem, begin, count, slots, sums, means);
      base_.forward_rows(
          begin, count, gradients, [&](index_t i, const cpu::row_statistics& row, C* mean) {
            const cpu::synthetic_sums& made = sums[i - begin];
            cpu::row_statistics joined = row;
            joined.log_sum = statistics.empty() ? log_of_both(row.log_sum, made.log_sum)
                                                : static_cast<double>(statistics[i]);
            const double found_share = std::exp(row.log_sum - joined.log_sum);
            const double made_share = std::exp(made.log_sum - joined.log_sum);
            joined.mean_cosine = found_share * row.mean_cosine + made_share * made.mean_cosine;
            if (mean == nullptr) return joined;
            const C* const made_mean = means + (i - begin) * cols;
            for (index_t d = 0; d < cols; ++d) {
              mean[d] = static_cast<C>(found_share * static_cast<double>(mean[d]) +
                                       made_share * static_cast<double>(made_mean[d]));
            }
            return joined;
          });
    }
    if (gradients) base_.write_temperature_gradient();
  }

  void find_hardest(index_t begin, index_t count, index_t* slots) {
    vector_view<const std::int64_t> exclude_ids = how_.exclude_ids;
    if (!exclude_ids.empty()) {
      exclude_ids.data += begin * exclude_ids.strides[0];
      exclude_ids.extents[0] = count;
    }
    const matrix_view<const T> queries = queries_.value.rows_from(begin, count);
    const nearest_outputs<T> outputs = {.indices = {slots, count, how_.hardest}};
    const nearest_options options = {.k = how_.hardest, .exclude_ids = exclude_ids};
    const double* const inverse = base_.negative_stack().inverse;
    if (inverse == nullptr) {
      search_raw<T>(ctx_, negatives_, how_.ids, queries, outputs, options);
    } else {
      search<T>(ctx_, {.rows = negatives_, .inverse_norms = inverse, .ids = how_.ids}, queries,
                outputs, options);
    }
  }

  cpu_context& ctx_;
  synthetic_negatives<T> how_;
  operand<T> queries_;
  matrix_view<const T> negatives_;
  info_nce_call<T> base_;
};

}  // namespace detail

/// InfoNCE whose every query i has S synthetic negatives h of its own besides:
///     loss_i = −s_i,p(i) + log (Σ_j exp s_ij + Σ_h exp(⟨q_i, h⟩ / temperature)),
/// s, p(i) and j as in info_nce (with in_batch_negatives = false: MoCo's). They are made from the
/// `hardest` of options.negatives that are nearest to q_i by cosine, in six ways that
/// synthetic_counts lists: the mixes of MoCHi (Kalantidis et al., arXiv 2010.01028: interpolated
/// and mixed) and of SynCo (Giakoumoglou and Stathaki, arXiv 2410.02401: all). q and n are unit
/// rows there, or with normalize = false the rows as they are; h is a unit row always. A mixture
/// that cancels to a norm ≤ 1e-12 has no direction: its logit is 0. With all counts 0 this is
/// info_nce, bit for bit, and nothing is searched for.
///
/// Shapes, reduction, statistics and errors as in info_nce. Besides: counts below 0, `hardest`
/// outside 1 … K, synthetic negatives without negatives, ids for one side only, drawn ranks out of
/// range. Never holds the N × S × D synthetic rows: each is made from the draws when it is met.
/// Scratch: info_nce's, nearest's for rows of any norm, and 4 MiB, or 8·hardest + 4·D bytes (8·D
/// for doubles) where that is more.
template <class Q, class K, class T = std::remove_const_t<Q>>
requires element<T> && std::same_as<T, std::remove_const_t<K>>
void hard_negative_info_nce(cpu_context& ctx, const matrix_view<Q>& queries,
                            const matrix_view<K>& keys,
                            const std::type_identity_t<synthetic_negatives<T>>& synthesis,
                            std::type_identity_t<vector_view<compute_t<T>>> loss,
                            const std::type_identity_t<info_nce_options<T>>& options = {},
                            std::type_identity_t<vector_view<compute_t<T>>> statistics = {}) {
  constexpr std::string_view op = "hard_negative_info_nce";
  detail::hard_negative_info_nce_call<T> call(ctx, op, stop_gradient(queries), stop_gradient(keys),
                                              synthesis, options);
  check::loss_outputs(op, loss, call.outputs(), statistics, queries.rows());
  call.prepare();
  call.forward(false);
  call.write(loss, statistics);
}

/// The same loss as a number, for mean and sum.
template <class Q, class K, class T = std::remove_const_t<Q>>
requires element<T> && std::same_as<T, std::remove_const_t<K>> compute_t<T> hard_negative_info_nce(
    cpu_context& ctx, const matrix_view<Q>& queries, const matrix_view<K>& keys,
    const std::type_identity_t<synthetic_negatives<T>>& synthesis,
    const std::type_identity_t<info_nce_options<T>>& options = {}) {
  check::one_number("hard_negative_info_nce", options.reduction);
  compute_t<T> loss{};
  hard_negative_info_nce(ctx, queries, keys, synthesis, scalar(loss), options);
  return loss;
}

/// The gradients from what hard_negative_info_nce left in `statistics` (N), for a `cotangent` of
/// one element or N (reduce::none). Neighbours are searched for and draws made again. By a
/// synthetic logit the gradient is its soft-max weight, and reaches the query as weight · h /
/// temperature; h itself is a constant.
template <element T>
void hard_negative_info_nce_backward(
    cpu_context& ctx, const operand<T>& queries, const operand<T>& keys,
    const std::type_identity_t<synthetic_negatives<T>>& synthesis,
    std::type_identity_t<vector_view<const compute_t<T>>> statistics,
    std::type_identity_t<vector_view<const compute_t<T>>> cotangent,
    const std::type_identity_t<info_nce_options<T>>& options = {}) {
  constexpr std::string_view op = "hard_negative_info_nce_backward";
  detail::hard_negative_info_nce_call<T> call(ctx, op, queries, keys, synthesis, options,
                                              cotangent);
  check::backward_inputs(op, statistics, queries.value.rows(), cotangent);
  call.prepare();
  call.backward(statistics);
}

/// Loss and gradients in one go, for a cotangent of options.gradient_scale; one search and one pass
/// over the logits with stopped keys and negatives.
template <element T>
void hard_negative_info_nce_with_gradients(
    cpu_context& ctx, const operand<T>& queries, const operand<T>& keys,
    const std::type_identity_t<synthetic_negatives<T>>& synthesis,
    std::type_identity_t<vector_view<compute_t<T>>> loss,
    const std::type_identity_t<info_nce_options<T>>& options = {}) {
  constexpr std::string_view op = "hard_negative_info_nce_with_gradients";
  detail::hard_negative_info_nce_call<T> call(ctx, op, queries, keys, synthesis, options);
  check::loss_outputs(op, loss, call.outputs(), {}, queries.value.rows());
  call.prepare();
  call.forward(true);
  call.key_gradients();
  call.write(loss, {});
}

/// The same, with the loss as a number, for mean and sum.
template <element T>
compute_t<T> hard_negative_info_nce_with_gradients(
    cpu_context& ctx, const operand<T>& queries, const operand<T>& keys,
    const std::type_identity_t<synthetic_negatives<T>>& synthesis,
    const std::type_identity_t<info_nce_options<T>>& options = {}) {
  check::one_number("hard_negative_info_nce_with_gradients", options.reduction);
  compute_t<T> loss{};
  hard_negative_info_nce_with_gradients(ctx, queries, keys, synthesis, scalar(loss), options);
  return loss;
}

/// What a synthesis draws by its key for first.rows() queries, as drawn_synthesis lists it; views
/// that its counts leave empty are not needed. `drawn` made of these does what the key does.
template <element T>
void draw(cpu_context& ctx, const synthetic_negatives<T>& synthesis,
          const matrix_view<index_t>& first, const matrix_view<index_t>& second,
          const std::type_identity_t<matrix_view<compute_t<T>>>& weights,
          const std::type_identity_t<matrix_view<compute_t<T>>>& noise) {
  check::synthesis_outputs(synthesis, first, second, weights, noise);
  using C = compute_t<T>;
  const index_t total = synthesis.counts.total();
  const index_t without_second = synthesis.counts.weighted() - synthesis.counts.mixed;
  cpu::for_each_row_block(
      ctx, first.rows(), std::max<index_t>(1, total), [&](index_t begin, index_t count, int) {
        for (index_t i = begin; i < begin + count; ++i) {
          for (index_t s = 0; s < total; ++s) {
            const auto recipe = detail::recipe_of(synthesis, synthesis.key, i, s);
            first(i, s) = recipe.first;
            if (recipe.second >= 0) second(i, s - without_second) = recipe.second;
            if (s < synthesis.counts.weighted()) {
              weights(i, s) = static_cast<C>(detail::weight_of(synthesis.counts, recipe, s));
            }
          }
        }
      });
  if (synthesis.counts.noisy == 0) return;
  draw(ctx, gaussian_noise{}, detail::noise_key(synthesis.key, synthesis.counts.noisy), noise);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
