// How the CPU carries out uniformity.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "feaug/core/element.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/workspace.hpp"
#include "feaug/cpu/loss/contrast.hpp"
#include "feaug/cpu/loss/row_stack.hpp"
#include "feaug/diagnostics/uniformity.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Scratch: as nt_xent.
template <>
struct detail::uniformity_on<cpu_context> {
  template <element T>
  static void run(cpu_context& ctx, const matrix_view<const T>& x, const vector_view<double>& to,
                  const uniformity_options& options) {
    const index_t rows = x.rows();
    workspace::scope scratch(ctx.workspace);
    const auto stack = cpu::make_stack<T>(ctx, scratch, true, x);
    auto* const log_sums = scratch.take<double>(rows);
    // A row's “positive” is the row itself, which is left out anyway.
    const cpu::contrast<compute_t<T>> pairs = {
        .rows = stack,
        .columns = stack,
        .positives = stack,
        .pairs = {.shift = 0, .partners = rows, .self = true},
        .positives_are_columns = false,
        .cols = x.cols(),
        .scale = 2 * options.t};
    cpu::soft_max_pass<compute_t<T>>(ctx, pairs, false, false,
                                     [log_sums](index_t i, const cpu::row_statistics& row,
                                                auto* /*mean*/) { log_sums[i] = row.log_sum; });
    double largest = -std::numeric_limits<double>::infinity();
    for (index_t i = 0; i < rows; ++i) largest = std::max(largest, log_sums[i]);
    double sum = 0;
    for (index_t i = 0; i < rows; ++i) sum += std::exp(log_sums[i] - largest);
    to[0] = uniformity_of(largest, sum, options.t, rows);
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
