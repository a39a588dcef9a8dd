// The softmax of a query over its synthetic negatives. Each synthetic row is built in one scratch
// row, used, and overwritten; none is stored.
#pragma once

#include "feaug/header_begin.hpp"

#include <limits>

#include "feaug/core/draws.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/elementary.hpp"
#include "feaug/core/finite.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/augment/elementwise.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/lanes.hpp"
#include "feaug/cpu/core/parallel.hpp"
#include "feaug/cpu/loss/concatenated_rows.hpp"
#include "feaug/loss/hard_negative_info_nce.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// Queries, and the inputs of their synthetic negatives.
template <element T>
struct synthesis_problem {
  concatenated_rows<T> queries;
  concatenated_rows<T> negatives;
  feaug::synthetic_negatives<T> how = {};
  index_t cols = 0;
  double scale = 1;  ///< 1 / temperature
};

/// Softmax sums over a query's synthetic negatives h.
struct synthetic_sums {
  double log_sum_exp = -std::numeric_limits<double>::infinity();  ///< log Σ exp s_h; −∞ if empty
  double mean_cosine = 0;                                         ///< Σ softmax_h · ⟨q, h⟩
};

namespace detail {

/// Builds h before it is divided by its norm. `query` is row i of the queries, normalised if they
/// are. Cost: one or two rows of negatives read, and D normal draws for a noisy negative.
template <element T>
void make_synthetic(const cpu_context& ctx, const synthesis_problem<T>& problem,
                    const feaug::detail::synthetic_recipe& recipe, const index_t* slots,
                    const double* query, double* made) {
  const auto add = [&](index_t rank, double weight) {
    const T* const source = problem.negatives.row(slots[rank]);
    const double factor = weight * problem.negatives.factor(slots[rank]);
    for_each_in_lanes(problem.cols,
                      [=](index_t d) { made[d] += factor * static_cast<double>(load(source[d])); });
  };
  const double of_query = recipe.of_query;
  for_each_in_lanes(problem.cols, [=](index_t d) { made[d] = of_query * query[d]; });
  add(recipe.first, recipe.of_first);
  if (!feaug::detail::is_equal(recipe.of_second, 0)) add(recipe.second, recipe.of_second);
  if (!feaug::detail::is_equal(recipe.of_signs, 0)) {
    const double of_signs = recipe.of_signs;
    for_each_in_lanes(problem.cols,
                      [=](index_t d) { made[d] += of_signs * feaug::detail::sign_of(query[d]); });
  }
  if (recipe.noise < 0) return;
  if (problem.how.drawn.given()) {
    for (index_t d = 0; d < problem.cols; ++d)
      made[d] += recipe.of_noise * static_cast<double>(problem.how.drawn.noise(recipe.noise, d));
  } else {
    for_each_draw<normal_draw>(
        ctx, feaug::detail::noise_key(problem.how.key, problem.how.counts.noisy), recipe.noise,
        problem.cols, [&](index_t d, normal_draw epsilon) {
          made[d] +=
              recipe.of_noise * static_cast<double>(static_cast<compute_t<T>>(epsilon.value));
        });
  }
}

/// The sums of query i, whose hardest negatives are `slots`. `mean`, unless null, receives Σ
/// softmax_h · h. `query` and `made` are scratch of one row each. Per synthetic negative: O(cols)
/// FLOP to build h, its norm, its product with the query and the mean, and one exponential (two if
/// the maximum rises).
template <element T>
synthetic_sums synthetic_softmax(const cpu_context& ctx, const synthesis_problem<T>& problem,
                                 index_t i, const index_t* slots, double* query, double* made,
                                 compute_t<T>* mean) {
  using C = compute_t<T>;
  const index_t cols = problem.cols;
  const T* const source = problem.queries.row(i);
  const double factor = problem.queries.factor(i);
  for (index_t d = 0; d < cols; ++d) query[d] = factor * static_cast<double>(load(source[d]));
  for (index_t d = 0; mean != nullptr && d < cols; ++d) mean[d] = C{0};
  double shift = -std::numeric_limits<double>::infinity();
  double sum = 0;
  double cosine_sum = 0;
  for (index_t s = 0; s < problem.how.counts.total(); ++s) {
    const auto recipe = feaug::detail::recipe_of(problem.how, problem.how.key, i, s);
    if (!recipe.can_be_made(slots, problem.how.hardest)) continue;
    make_synthetic(ctx, problem, recipe, slots, query, made);
    const double inverse = feaug::detail::inverse_of_synthetic(
        sum_of_terms<double>(cols, [made](index_t d) { return made[d] * made[d]; }));
    const double cosine =
        inverse * sum_of_terms<double>(cols, [=](index_t d) { return query[d] * made[d]; });
    const double logit = problem.scale * cosine;
    if (logit > shift) {
      const double rescale = feaug::detail::exp(shift - logit);
      sum *= rescale;
      cosine_sum *= rescale;
      for (index_t d = 0; mean != nullptr && d < cols; ++d) mean[d] *= static_cast<C>(rescale);
      shift = logit;
    }
    const double weight = feaug::detail::exp(logit - shift);
    sum += weight;
    cosine_sum += weight * cosine;
    if (mean == nullptr) continue;
    const double of_made = weight * inverse;
    for_each_in_lanes(cols, [=](index_t d) { mean[d] += static_cast<C>(of_made * made[d]); });
  }
  if (feaug::detail::is_equal(sum, 0)) return {};
  const double share = 1 / sum;
  for (index_t d = 0; mean != nullptr && d < cols; ++d) mean[d] *= static_cast<C>(share);
  return {.log_sum_exp = shift + feaug::detail::log(sum), .mean_cosine = cosine_sum * share};
}

}  // namespace detail

/// The sums of `count` queries from row `begin` on. Row i of slots (how.hardest wide), sums and, if
/// wanted, means (cols wide) belongs to query begin + i.
template <element T>
void synthetic_pass(cpu_context& ctx, const synthesis_problem<T>& problem, index_t begin,
                    index_t count, const index_t* slots, synthetic_sums* sums,
                    compute_t<T>* means) {
  workspace::scope scratch(ctx.workspace);
  const int workers = worker_count(ctx, count);
  auto* const rows = scratch.take<double>(2 * workers * problem.cols);
  for_each_block(ctx, count, [&](index_t i, int worker) {
    double* const query = rows + 2 * worker * problem.cols;
    sums[i] = detail::synthetic_softmax(ctx, problem, begin + i, slots + i * problem.how.hardest,
                                        query, query + problem.cols,
                                        means == nullptr ? nullptr : means + i * problem.cols);
  });
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
