// The deviation of every feature over the batch: the collapse indicator.
#pragma once

#include <string_view>
#include <type_traits>

#include "feaug/core/element.hpp"
#include "feaug/core/row_norm.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/columns.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/unit_rows.hpp"
#include "feaug/cpu/loss/row_loss.hpp"
#include "feaug/diagnostics/feature_deviation.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// √D · mean_j s_j, s_j the standard deviation (unbiased) of feature j of the unit rows: about 1
/// for features spread evenly over the sphere, 0 where all rows point the same way (Chen and He,
/// SimSiam, arXiv 2011.10566).
///
/// x N × D, N ≥ 2. `deviations`, if given, gets the D values s_j. NaN or ∞ in a row makes all NaN.
/// No gradient: a diagnostic; vicreg's variance term is the loss. Scratch: 8 bytes a row, 24 a
/// feature.
template <class X, class T = std::remove_const_t<X>>
requires element<T>
void feature_deviation(cpu_context& ctx, const matrix_view<X>& x, const vector_view<double>& to,
                       const vector_view<double>& deviations = {}) {
  detail::feature_deviation_arguments<T, memory_space::host>("feature_deviation", x, to,
                                                             deviations);
  const index_t features = x.cols();
  workspace::scope scratch(ctx.workspace);
  auto* const inverse = scratch.take<double>(x.rows());
  auto* const mean = scratch.take<double>(features);
  auto* const squares = scratch.take<double>(features);
  auto* const scaled = scratch.take<double>(features);
  cpu::inverse_norms(ctx, x, default_norm_eps, inverse);
  cpu::column_moments<T>(ctx, {.x = x, .inverse_norm = inverse}, mean, squares);
  const detail::feature_deviation_of<memory_space::host> finish = {.squares = squares,
                                                                   .rows = x.rows(),
                                                                   .features = features,
                                                                   .deviations = deviations,
                                                                   .scaled = scaled};
  for (index_t j = 0; j < features; ++j) finish(j);
  to[0] = cpu::sum_in_order(scaled, features) / static_cast<double>(features);
}

/// The same as a number.
template <class X, class T = std::remove_const_t<X>>
requires element<T>
double feature_deviation(cpu_context& ctx, const matrix_view<X>& x) {
  double value = 0;
  feature_deviation(ctx, x, scalar(value));
  return value;
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
