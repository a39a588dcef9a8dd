// Alignment: how far apart the two views of a sample are.
#pragma once

#include <string_view>
#include <type_traits>

#include "feaug/core/element.hpp"
#include "feaug/core/row_norm.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/parallel.hpp"
#include "feaug/cpu/loss/row_loss.hpp"
#include "feaug/diagnostics/alignment.hpp"
#include "feaug/diagnostics/diagnostic_checks.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// mean_i ‖unit(a_i) − unit(b_i)‖^alpha (Wang and Isola, arXiv 2005.10242): 0 where the views
/// agree; with alpha = 2, 2 where they are at right angles.
///
/// a and b N × D. unit(x) = x / max(‖x‖, 1e-12), so that a zero row is at distance 1 from others.
/// NaN or ∞ in a row makes it NaN. No gradient: a diagnostic; negative_cosine is the loss. Scratch:
/// 8 bytes a row.
template <class A, class B, class T = std::remove_const_t<A>>
requires element<T> && std::same_as<T, std::remove_const_t<B>>
void alignment(cpu_context& ctx, const matrix_view<A>& a, const matrix_view<B>& b,
               const vector_view<double>& to, const alignment_options& options = {}) {
  constexpr std::string_view op = "alignment";
  detail::alignment_arguments<T, memory_space::host>(op, a, b, options);
  check::diagnostic_output(op, to);
  workspace::scope scratch(ctx.workspace);
  auto* const distances = scratch.take<double>(a.rows());
  cpu::for_each_row_block(ctx, a.rows(), a.cols(), [&](index_t begin, index_t count, int) {
    for (index_t i = begin; i < begin + count; ++i) {
      const double of_a = inverse_norm(row_norm(a.row(i), a.cols()), default_norm_eps);
      const double of_b = inverse_norm(row_norm(b.row(i), b.cols()), default_norm_eps);
      double squared = 0;
      for (index_t j = 0; j < a.cols(); ++j) {
        const double difference =
            static_cast<double>(load(a(i, j))) * of_a - static_cast<double>(load(b(i, j))) * of_b;
        squared += difference * difference;
      }
      distances[i] = detail::distance_to_the(options.alpha, squared);
    }
  });
  to[0] = cpu::sum_in_order(distances, a.rows()) / static_cast<double>(a.rows());
}

/// The same as a number.
template <class A, class B, class T = std::remove_const_t<A>>
requires element<T> && std::same_as<T, std::remove_const_t<B>>
double alignment(cpu_context& ctx, const matrix_view<A>& a, const matrix_view<B>& b,
                 const alignment_options& options = {}) {
  double value = 0;
  alignment(ctx, a, b, scalar(value), options);
  return value;
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
