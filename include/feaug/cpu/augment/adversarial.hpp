// CPU implementation of adversarial_step and adversarial_backward: move features in the direction
// that increases a loss, within a ball around the originals. A step makes four passes over each
// row, five with renormalize. Offsets are not stored; every pass that needs them computes them
// again.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/augment/adversarial.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/elementary.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/augment/elementwise.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/put_gradient.hpp"
#include "feaug/cpu/core/rows.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

template <>
struct detail::adversarial_on<cpu_context> {
  template <element T>
  static void step(cpu_context& ctx, const matrix_view<const T>& original,
                   const matrix_view<const T>& current, const matrix_view<const T>& gradient,
                   const adversarial_options& options, const matrix_view<T>& out) {
    const index_t cols = original.cols();
    cpu::for_each_row(ctx, original.rows(), cols, {}, [&](index_t i, int) {
      const T* from = original.row(i);
      const detail::adversarial_row row(options, row_norm(gradient.row(i), cols),
                                        row_norm(from, cols));
      const auto offset = [&](index_t j) {
        return row.offset(static_cast<double>(load(from[j])),
                          static_cast<double>(load(current(i, j))),
                          static_cast<double>(load(gradient(i, j))));
      };
      double squares = 0;
      for (index_t j = 0; j < cols; ++j) squares += offset(j) * offset(j);
      const double share = row.within_ball(feaug::detail::sqrt(squares));
      const auto moved = [&](index_t j) {
        return static_cast<double>(load(from[j])) + share * offset(j);
      };
      double factor = 1;
      if (options.renormalize) {
        squares = 0;
        for (index_t j = 0; j < cols; ++j) squares += moved(j) * moved(j);
        factor = inverse_norm(feaug::detail::sqrt(squares), default_norm_eps);
      }
      for (index_t j = 0; j < cols; ++j)
        out(i, j) = store<T>(static_cast<compute_t<T>>(factor * moved(j)));
    });
  }

  template <element T>
  static void backward(cpu_context& ctx, const operand<T>& original,
                       const matrix_view<const T>& grad_out, const adversarial_options& options) {
    using C = compute_t<T>;
    const bool through = options.gradient == adversarial_gradient::straight_through;
    cpu::for_each_row(ctx, original.value.rows(), original.value.cols(), {}, [&](index_t i, int) {
      cpu::put_gradient(original, i,
                        [&](index_t j) { return through ? load(grad_out(i, j)) : C{0}; });
    });
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
