// Rows divided by their norms.
#pragma once

#include <type_traits>

#include "feaug/augment/l2_normalize.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/row_norm.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/rows.hpp"
#include "feaug/cpu/core/unit_rows.hpp"
#include "feaug/cpu/core/workspace.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cpu {

/// The gradient of normalize_row for row i, put where x wants it; `scratch` holds a row.
template <element T>
void normalize_row_backward(const operand<T>& x, index_t i, const T* grad_out, double eps,
                            compute_t<T>* scratch) {
  const T* row = x.value.row(i);
  const index_t cols = x.value.cols();
  for (index_t j = 0; j < cols; ++j) scratch[j] = load(grad_out[j]);
  unit_backward_row(row, cols, inverse_norm(row_norm(row, cols), eps), eps, scratch);
  write_gradient(x, i, scratch);
}

}  // namespace cpu

/// out_i = x_i / max(‖x_i‖₂, eps). Norms are summed in double and scaled where that overflows, so
/// huge rows are right too.
///
/// x, out N×D. out may be x itself (same pointer, same strides); any other overlap is an error.
/// A row that holds NaN or infinity becomes NaN. Throws argument_error before anything is written.
template <element T>
void l2_normalize(cpu_context& ctx, matrix_view<const std::type_identity_t<T>> x,
                  matrix_view<T> out, const l2_normalize_options& options = {}) {
  check::l2_normalize_arguments<T>(x, out, options);
  if (x.empty()) return;
  cpu::for_each_row(ctx, x.rows(), x.cols(), {}, [&](index_t i, int) {
    cpu::normalize_row(x.row(i), x.cols(), options.eps, out.row(i));
  });
}

/// The gradient by x of l2_normalize: (g − u (u·g)) / ‖x‖ with u = x / ‖x‖, and zero for rows with
/// ‖x‖ ≤ eps, which have no direction (a documented departure: others return g / eps, some 1e12 ·
/// g).
///
/// * x: the value that l2_normalize read and where its gradient goes, N×D.
/// * grad_out: N×D. It may be x.gradient itself in overwrite mode; any other overlap is an error.
///
/// Scratch: D numbers a thread.
template <element T>
void l2_normalize_backward(cpu_context& ctx, const operand<T>& x,
                           matrix_view<const std::type_identity_t<T>> grad_out,
                           const l2_normalize_options& options = {}) {
  check::l2_normalize_backward_arguments<T>(x, grad_out, options);
  if (x.value.empty() || !x.wants_gradient()) return;
  workspace::scope scope(ctx.workspace);
  const cpu::row_buffers<compute_t<T>> scratch(ctx, scope, x.value.cols());
  cpu::for_each_row(ctx, x.value.rows(), x.value.cols(), {}, [&](index_t i, int worker) {
    cpu::normalize_row_backward(x, i, grad_out.row(i), options.eps, scratch.of(worker));
  });
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
