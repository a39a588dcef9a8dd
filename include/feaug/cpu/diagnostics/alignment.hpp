// CPU implementation of alignment: the mean distance between the two views of a sample.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/core/element.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/parallel.hpp"
#include "feaug/cpu/core/workspace.hpp"
#include "feaug/cpu/loss/alignment_and_uniformity.hpp"
#include "feaug/cpu/loss/row_loss.hpp"
#include "feaug/diagnostics/alignment.hpp"
#include "feaug/loss/alignment_and_uniformity.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

template <>
struct detail::alignment_on<cpu_context> {
  template <element T>
  static void run(cpu_context& ctx, const matrix_view<const T>& a, const matrix_view<const T>& b,
                  const vector_view<double>& to, const alignment_options& options) {
    workspace::scope scratch(ctx.workspace);
    auto* const distances = scratch.take<double>(a.rows());
    cpu::for_each_row_block(ctx, a.rows(), a.cols(), [&](index_t begin, index_t count, int) {
      for (index_t i = begin; i < begin + count; ++i) {
        const double of_a = inverse_norm(row_norm(a.row(i), a.cols()), default_norm_eps);
        const double of_b = inverse_norm(row_norm(b.row(i), b.cols()), default_norm_eps);
        const double squared = cpu::squared_distance(a.row(i), of_a, b.row(i), of_b, a.cols());
        distances[i] = distance_to_the(options.alpha, squared);
      }
    });
    to[0] = cpu::sum_in_order(distances, a.rows()) / static_cast<double>(a.rows());
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
