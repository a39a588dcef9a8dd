// L2 row normalisation, forward and backward.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>

#include "feaug/core/element.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/parallel.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cpu {

/// inverse[i] = 1 / max(‖x_i‖, eps) for all rows.
template <class T>
void inverse_norms(cpu_context& ctx, const matrix_view<T>& x, double eps, double* inverse) {
  for_each_row_block(ctx, x.rows(), x.cols(), [&](index_t begin, index_t count, int) {
    for (index_t i = begin; i < begin + count; ++i)
      inverse[i] = inverse_norm(row_norm(x.row(i), x.cols()), eps);
  });
}

/// out = unit(x) for one row, in two passes; out may be x. All NaN if an element of x is NaN or
/// infinite.
template <element T>
void normalize_row(const T* x, index_t cols, double eps, T* out) {
  const double inverse = inverse_norm(row_norm(x, cols), eps);
  for (index_t j = 0; j < cols; ++j) {
    out[j] = store<T>(static_cast<compute_t<T>>(static_cast<double>(load(x[j])) * inverse));
  }
}

/// Writes a row's gradient to the operand's destination, by overwriting or accumulating.
template <element T>
void write_gradient(const operand<T>& x, index_t i, const compute_t<T>* gradient) {
  T* destination = x.gradient.row(i);
  const index_t cols = x.gradient.cols();
  if (x.mode == gradient_mode::overwrite) {
    for (index_t j = 0; j < cols; ++j) destination[j] = store<T>(gradient[j]);
  } else {
    for (index_t j = 0; j < cols; ++j)
      destination[j] = store<T>(load(destination[j]) + gradient[j]);
  }
}

/// Converts the gradient with respect to unit(x_i) to that with respect to x_i, in place; zero if
/// ‖x‖ ≤ eps.
template <element T>
void unit_backward_row(const T* row, index_t cols, double inverse, double eps,
                       compute_t<T>* gradient) {
  using C = compute_t<T>;
  if (has_no_direction(inverse, eps)) {
    std::fill_n(gradient, cols, C{0});
    return;
  }
  double along = 0;
  for (index_t j = 0; j < cols; ++j) {
    along += static_cast<double>(load(row[j])) * inverse * static_cast<double>(gradient[j]);
  }
  for (index_t j = 0; j < cols; ++j) {
    const double unit = static_cast<double>(load(row[j])) * inverse;
    gradient[j] =
        static_cast<C>(through_unit(static_cast<double>(gradient[j]), unit, along, inverse));
  }
}

}  // namespace cpu
}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
