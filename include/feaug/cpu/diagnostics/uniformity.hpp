// CPU implementation of uniformity: how evenly features are spread over the sphere.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/core/element.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/workspace.hpp"
#include "feaug/cpu/loss/alignment_and_uniformity.hpp"
#include "feaug/cpu/loss/concatenated_rows.hpp"
#include "feaug/diagnostics/uniformity.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Scratch: as for nt_xent.
template <>
struct detail::uniformity_on<cpu_context> {
  template <element T>
  static void run(cpu_context& ctx, const matrix_view<const T>& x, const vector_view<double>& to,
                  const uniformity_options& options) {
    workspace::scope scratch(ctx.workspace);
    const auto stack = cpu::concatenate_rows<T>(ctx, scratch, true, x);
    auto* const log_sum_exps = scratch.take<double>(x.rows());
    to[0] = cpu::sum_over_pairs<T>(ctx, stack, options.t, log_sum_exps, nullptr)
                .uniformity(options.t, x.rows());
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
