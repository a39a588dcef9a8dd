// CPU implementation of l2_normalize: divides every row by its L2 norm, forward and backward.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/augment/l2_normalize.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/l2_norm.hpp"
#include "feaug/cpu/core/rows.hpp"
#include "feaug/cpu/core/workspace.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cpu {

/// Writes the gradient of normalize_row for row i to x's destination; `scratch` has room for a row.
template <element T>
void normalize_row_backward(instruction_set instructions, const operand<T>& x, index_t i,
                            const T* grad_out, double eps, compute_t<T>* scratch) {
  const T* row = x.value.row(i);
  const index_t cols = x.value.cols();
  for (index_t j = 0; j < cols; ++j) scratch[j] = load(grad_out[j]);
  unit_backward_row(instructions, row, cols, inverse_norm(row_norm(row, cols), eps), eps, scratch);
  write_gradient(instructions, x, i, scratch);
}

}  // namespace cpu

template <>
struct detail::l2_normalize_on<cpu_context> {
  template <element T>
  static void forward(cpu_context& ctx, const matrix_view<const T>& x, const matrix_view<T>& out,
                      const l2_normalize_options& options) {
    cpu::for_each_row(ctx, x.rows(), x.cols(), {}, [&](index_t i, int) {
      cpu::normalize_row(x.row(i), x.cols(), options.eps, out.row(i));
    });
  }

  /// Scratch: D numbers a thread.
  template <element T>
  static void backward(cpu_context& ctx, const operand<T>& x, const matrix_view<const T>& grad_out,
                       const l2_normalize_options& options) {
    workspace::scope scope(ctx.workspace);
    const cpu::row_buffers<compute_t<T>> scratch(ctx, scope, x.value.cols());
    cpu::for_each_row(ctx, x.value.rows(), x.value.cols(), {}, [&](index_t i, int worker) {
      cpu::normalize_row_backward(cpu::usable(ctx.instructions), x, i, grad_out.row(i), options.eps,
                                  scratch.of(worker));
    });
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
