// Decides whether a search excludes rows by their projections, and finds the subspace.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <concepts>

#include "feaug/core/element.hpp"
#include "feaug/core/finite.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/cpu/core/row_arithmetic.hpp"
#include "feaug/cpu/core/workspace.hpp"
#include "feaug/cpu/queue/exact_scan.hpp"
#include "feaug/cpu/queue/pruning/dot_in_float.hpp"
#include "feaug/cpu/queue/pruning/principal_subspace.hpp"
#include "feaug/cpu/queue/pruning/subspace_iteration.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

namespace detail {

// The sample from which a subspace is found.
inline constexpr index_t principal_sample = 512;
inline constexpr index_t paired_sample = 64;
// Projecting pays off for these sizes, and if the norms of what the subspace leaves of rows and of
// queries have a small product.
inline constexpr index_t fewest_queries_a_feature = 4;
inline constexpr index_t fewest_features_to_project = 64;
inline constexpr index_t most_features_to_project = 512;
inline constexpr double largest_rest = 0.08;

/// The mean t / ‖u‖ of some rows, as `project` gives them.
template <element T, class Factor>
double mean_rest(const principal_subspace& onto, instruction_set instructions,
                 const matrix_view<const T>& rows, index_t count, const Factor& factor_of,
                 const projection_scratch& scratch) {
  double sum = 0;
  for (index_t i = 0; i < count; ++i) {
    const index_t at = i * rows.rows() / count;
    const double factor = factor_of(at);
    sum += project(onto, instructions, rows, at, 1, &factor, scratch);
  }
  return sum / static_cast<double>(count);
}

}  // namespace detail

/// The subspace of a search, if projected rows are likely to make it faster; else an empty one. It
/// belongs to `kept`. Costs about as much as a search of ten queries.
template <element T>
principal_subspace find_principal_subspace(cpu_context& ctx, workspace::scope& kept,
                                           const search_space<T>& space,
                                           const matrix_view<const T>& queries,
                                           double fewest_products) {
  if constexpr (!std::same_as<compute_t<T>, float>) {
    return {};
  } else {
    const instruction_set instructions = usable(ctx.instructions);
    const index_t cols = space.rows.cols();
    const index_t rows = space.rows.rows();
    const double products =
        static_cast<double>(queries.rows()) * static_cast<double>(rows) * static_cast<double>(cols);
    // Products of 8 bits by AMX cost less than what projecting leaves to do.
    if (instructions >= instruction_set::amx || products < fewest_products ||
        queries.rows() < detail::fewest_queries_a_feature * cols ||
        rows < detail::principal_sample || cols < detail::fewest_features_to_project ||
        cols > detail::most_features_to_project || space.similarity.has_ceiling())
      return {};
    principal_subspace found = {.cols = cols, .features = principal_features(cols)};
    auto* const directions = kept.take<float>(cols * found.features);
    workspace::scope scratch(ctx.workspace);
    auto* const sample = scratch.take<float>(detail::principal_sample * cols);
    for (index_t i = 0; i < detail::principal_sample; ++i) {
      const index_t slot = i * rows / detail::principal_sample;
      const T* const row = space.rows.row(slot);
      float* const to = sample + i * cols;
      scale_row(instructions, row, cols, inverse_norm_of(space, slot), to);
      if (!feaug::detail::is_finite(dot_in_float(instructions, to, to, cols)))
        std::fill_n(to, cols, 0.0F);
    }
    constexpr index_t step = detail::principal_sample / detail::paired_sample;
    // A share of 0.8 of the energy in a quarter of the directions; random rows have 1 / cols.
    constexpr double least = 2.5;
    if (detail::mean_square_cosine(instructions, sample, detail::paired_sample, step * cols, cols) *
            static_cast<double>(cols) <
        least)
      return {};
    const double distance = detail::iterate_subspace(
        instructions, scratch, sample, detail::principal_sample, cols, found.features, directions);
    // Of a product, the rounding of its operands' projections, at most cols · 2⁻²⁴ for a direction,
    // and what columns that are not orthonormal leave out; of a square of a rest, its sums.
    const auto width = static_cast<double>(cols);
    found.error = 3 * feaug::detail::sqrt(static_cast<double>(found.features)) * width * 0x1p-24 +
                  2 * distance + 2 * dot_in_float_error(cols) + 0x1p-20;
    constexpr double largest_error = 0x1p-8;
    if (!feaug::detail::is_finite(found.error) || found.error > largest_error) return {};
    found.directions = directions;
    const projection_scratch memory = take_projection_scratch(scratch, cols);
    const double of_rows = detail::mean_rest<float>(
        found, instructions, {sample, detail::principal_sample, cols}, detail::paired_sample,
        [](index_t) { return 1.0; }, memory);
    const double of_queries = detail::mean_rest<T>(
        found, instructions, queries, detail::paired_sample,
        [&](index_t i) { return inverse_norm(row_norm(queries.row(i), cols), default_norm_eps); },
        memory);
    const double rest = of_rows * of_queries;
    const bool is_small = feaug::detail::is_finite(rest) && rest <= detail::largest_rest;
    return is_small ? found : principal_subspace{};
  }
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
