// CPU implementation of feature_deviation: the standard deviation of every feature over the batch.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/core/element.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/columns.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/l2_norm.hpp"
#include "feaug/cpu/core/workspace.hpp"
#include "feaug/cpu/loss/row_loss.hpp"
#include "feaug/diagnostics/feature_deviation.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

template <>
struct detail::feature_deviation_on<cpu_context> {
  template <element T>
  static void run(cpu_context& ctx, const matrix_view<const T>& x, const vector_view<double>& to,
                  const vector_view<double>& deviations) {
    const index_t features = x.cols();
    workspace::scope scratch(ctx.workspace);
    auto* const inverse = scratch.take<double>(x.rows());
    auto* const mean = scratch.take<double>(features);
    auto* const squares = scratch.take<double>(features);
    auto* const scaled = scratch.take<double>(features);
    cpu::inverse_norms(ctx, x, default_norm_eps, inverse);
    cpu::column_moments<T>(ctx, {.x = x, .inverse_norm = inverse}, mean, squares);
    const feature_deviation_of<memory_space::host> finish = {.squares = squares,
                                                             .rows = x.rows(),
                                                             .features = features,
                                                             .deviations = deviations,
                                                             .scaled = scaled};
    for (index_t j = 0; j < features; ++j) finish(j);
    to[0] = cpu::sum_in_order(scaled, features) / static_cast<double>(features);
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
