// Uniformity: how evenly features are spread over the sphere.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>
#include <type_traits>

#include "feaug/core/element.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/loss/contrast.hpp"
#include "feaug/cpu/loss/row_stack.hpp"
#include "feaug/diagnostics/diagnostic_checks.hpp"
#include "feaug/diagnostics/uniformity.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// log mean_{i<j} exp(−t · ‖unit(x_i) − unit(x_j)‖²) (Wang and Isola, arXiv 2005.10242): 0 where
/// all rows point the same way, the lower the more evenly they are spread; −2t at right angles.
///
/// x N × D, N ≥ 2. Squared distances are 2 − 2·cos, so that a zero row counts as at right angles to
/// all. Tile by tile, with a log-sum-exp: no N × N matrix, nothing underflows at any t. NaN or ∞ in
/// x makes it NaN. No gradient: a diagnostic. Scratch: as nt_xent.
template <class X, class T = std::remove_const_t<X>>
requires element<T>
void uniformity(cpu_context& ctx, const matrix_view<X>& x, const vector_view<double>& to,
                const uniformity_options& options = {}) {
  constexpr std::string_view op = "uniformity";
  detail::uniformity_arguments<T, memory_space::host>(op, x, options);
  check::diagnostic_output(op, to);
  const index_t rows = x.rows();
  workspace::scope scratch(ctx.workspace);
  const auto stack = cpu::make_stack<T>(ctx, scratch, true, x);
  auto* const log_sums = scratch.take<double>(rows);
  // A row's “positive” is the row itself, which is left out anyway.
  const cpu::contrast<T> pairs = {.rows = stack,
                                  .columns = stack,
                                  .positives = stack,
                                  .pairs = {.shift = 0, .partners = rows, .self = true},
                                  .positives_are_columns = false,
                                  .cols = x.cols(),
                                  .scale = 2 * options.t};
  cpu::soft_max_pass(ctx, pairs, false, false,
                     [log_sums](index_t i, const cpu::row_statistics& row, auto* /*mean*/) {
                       log_sums[i] = row.log_sum;
                     });
  double largest = -std::numeric_limits<double>::infinity();
  for (index_t i = 0; i < rows; ++i) largest = std::max(largest, log_sums[i]);
  double sum = 0;
  for (index_t i = 0; i < rows; ++i) sum += std::exp(log_sums[i] - largest);
  to[0] = detail::uniformity_of(largest, sum, options.t, rows);
}

/// The same as a number.
template <class X, class T = std::remove_const_t<X>>
requires element<T>
double uniformity(cpu_context& ctx, const matrix_view<X>& x,
                  const uniformity_options& options = {}) {
  double value = 0;
  uniformity(ctx, x, scalar(value), options);
  return value;
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
