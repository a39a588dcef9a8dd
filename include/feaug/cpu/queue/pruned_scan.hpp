// Search with pruning: scores only rows that 8-bit products cannot exclude. Same results as
// exact_scan.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <cstdint>

#include "feaug/core/element.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/cpu/core/l2_norm.hpp"
#include "feaug/cpu/core/workspace.hpp"
#include "feaug/cpu/queue/coded_rows.hpp"
#include "feaug/cpu/queue/exact_scan.hpp"
#include "feaug/cpu/queue/find_principal_subspace.hpp"
#include "feaug/cpu/queue/pruned_query.hpp"
#include "feaug/cpu/queue/pruned_search.hpp"
#include "feaug/cpu/queue/pruning/principal_subspace.hpp"
#include "feaug/cpu/queue/pruning/quantized_rows.hpp"
#include "feaug/cpu/queue/pruning/tile_shape.hpp"
#include "feaug/queue/queue_shadow.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

// Memory of the queries in one search: at most 3 MiB of state, and the same for their codes.
inline constexpr index_t most_pruning_state = index_t{3} << 20;
// Codes of rows in one pass: 256 KiB, so that they and their rows stay in the second-level cache for
// all queries.
inline constexpr index_t most_row_codes = index_t{1} << 18;
// The rows of the first pass that give the first bars: 1024, or an eighth of all if that is more.
inline constexpr index_t always_sampled = 1024;
inline constexpr index_t sampled_part = 8;
// Below these sizes, scoring every row is faster than pruning.
inline constexpr index_t fewest_pruned_rows = 1024;
inline constexpr index_t fewest_pruned_features = 16;
// Quantizing rows for a single search pays off from this number of queries, and of features of all
// queries. Lists of many neighbours exclude few of few rows.
inline constexpr index_t fewest_queries_to_code_for = 32;
inline constexpr index_t fewest_features_to_code_for = 4096;
inline constexpr index_t few_neighbours = 16;
inline constexpr index_t fewest_rows_to_code_for_more = 4096;
// Projecting rows pays off from this number of products.
inline constexpr double fewest_projected_products = 0x1p34;

/// Whether pruning is likely to be faster than scoring every row. Depends only on shapes and on
/// whether the machine has a kernel that is faster than the double-precision products of the exact
/// scan.
template <element T>
bool is_worth_pruning(const cpu_context& ctx, const search_space<T>& space, index_t queries,
                      index_t k) {
  const index_t rows = space.rows.rows();
  if (usable(ctx.instructions) == instruction_set::portable || k > most_pruned_neighbours ||
      rows < fewest_pruned_rows || space.rows.cols() < fewest_pruned_features ||
      space.rows.cols() > most_pruned_features)
    return false;
  if (!space.shadow.empty()) return true;
  return queries >= fewest_queries_to_code_for &&
         queries * space.rows.cols() >= fewest_features_to_code_for &&
         (k <= few_neighbours || rows >= fewest_rows_to_code_for_more);
}

// Inverse norms are kept for a search if they take at most 8 MiB; with more rows they are computed
// again wherever they are needed.
inline constexpr index_t most_kept_norms = 1 << 20;

/// Like exact_scan, for k ≤ most_pruned_neighbours and D ≤ most_pruned_features. Without a
/// shadow, rows are quantized in chunks; their norms are computed with them, unless they are given.
/// From `fewest_projected` products N·M·D on, rows with most of their energy in few directions are
/// projected first, and whole rows are used if projections do not exclude most of the first chunk.
/// Limited by the 8-bit products, N·M·D, projected N·M·D/4, as long as few rows have to be scored.
/// Scratch: at most 7 MiB, 144 KiB a thread, and 8 bytes a row for norms.
template <element T, class Found>
void pruned_scan(cpu_context& ctx, search_space<T> space, const matrix_view<const T>& queries,
                 index_t k, const vector_view<const std::int64_t>& exclude_ids, const Found& found,
                 pruning_counts* counts = nullptr,
                 double fewest_projected = fewest_projected_products) {
  const index_t rows = space.rows.rows();
  const index_t features = space.rows.cols();
  const index_t state = static_cast<index_t>(sizeof(pruned_query)) + 20 * k +
                        static_cast<index_t>(sizeof(waiting_row)) * (k + most_waiting_rows);
  const index_t fitting =
      std::min(most_pruning_state / state,
               most_pruning_state / pruning_codes(shadow_groups(features)) * pruning_queries);
  const index_t parts = (queries.rows() + fitting - 1) / fitting;
  const index_t at_once = parts == 0 ? 0 : (queries.rows() + parts - 1) / parts;
  workspace::scope scratch(ctx.workspace);
  principal_subspace principal =
      find_principal_subspace(ctx, scratch, space, queries, fewest_projected);
  double* inverse = nullptr;  // while they are not known for all rows
  if (space.shadow.empty() && !space.unit && space.inverse_norms == nullptr &&
      rows <= most_kept_norms)
    space.inverse_norms = inverse = scratch.take<double>(rows);

  // Returns false, and has found nothing, if projections do not exclude most rows.
  const auto search_part = [&](index_t begin, index_t count, const principal_subspace& subspace) {
    workspace::scope of_part(ctx.workspace);
    const bool has_shadow = !space.shadow.empty() && subspace.empty();
    coded_rows coded = {.shadow = {}, .features = subspace.empty() ? features : subspace.features};
    const index_t chunk = std::clamp<index_t>(most_row_codes / shadow_block_codes(coded.features),
                                              1, shadow_blocks(rows)) *
                          shadow_block_rows;
    if (!has_shadow) {
      coded.shadow = {.codes = {of_part.take<std::uint8_t>(shadow_codes(chunk, coded.features)),
                                shadow_codes(chunk, coded.features)},
                      .bounds = {of_part.take<float>(shadow_bounds(chunk)), shadow_bounds(chunk)}};
    }
    vector_view<const std::int64_t> own = exclude_ids;
    if (!own.empty()) {
      own.data += begin * own.strides[0];
      own.extents[0] = count;
    }
    pruned_search<T> search(ctx, of_part, space, queries.rows_from(begin, count), k, own, subspace);
    for (index_t first = 0; first < rows && !search.is_given_up(); first += chunk) {
      const index_t here = std::min(chunk, rows - first);
      if (has_shadow)
        coded.shadow = shadow_from(space.shadow, first / shadow_block_rows, features);
      else if (subspace.empty())
        code_rows(ctx, space, first, here, coded.shadow, inverse);
      else
        coded.rest = code_projected_rows(ctx, space, first, here, subspace, coded.shadow, inverse);
      if (first == 0)
        search.sample(coded, std::min(here, std::max(rows / sampled_part, always_sampled)));
      search.offer(coded, first, here, [&] {
        if (inverse == nullptr) return;
        inverse_norms(ctx, space.rows, default_norm_eps, inverse);
        inverse = nullptr;
      });
      if (first == 0 && !subspace.empty() && !search.excludes_most(here)) return false;
    }
    search.finish(begin, found);
    if (counts != nullptr) search.add_counts(*counts);
    return true;
  };
  for (index_t begin = 0; begin < queries.rows(); begin += at_once) {
    const index_t count = std::min(at_once, queries.rows() - begin);
    if (search_part(begin, count, principal)) continue;
    principal = {};
    search_part(begin, count, principal);
  }
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
