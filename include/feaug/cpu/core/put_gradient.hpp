// Writes rows of a gradient to an operand's destination.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/non_temporal.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// Whether the gradient of x, computed from grad_out, is written with non-temporal stores. Not in
/// accumulate mode, where the destination is read first.
template <element T>
bool non_temporal_gradient(const operand<T>& x, const matrix_view<const T>& grad_out) {
  return x.mode == gradient_mode::overwrite && worth_non_temporal(x.gradient, grad_out);
}

/// Writes gradient(j), for j < count, to column first + j of row i of x's destination, by
/// overwriting or accumulating. Does nothing for a stopped operand.
template <element T, class Gradient>
void put_gradients(const operand<T>& x, index_t i, index_t first, index_t count, bool non_temporal,
                   const Gradient& gradient) {
  if (!x.wants_gradient()) return;
  T* const destination = x.gradient.row(i) + first;
  if (x.mode == gradient_mode::overwrite) {
    write_elements(destination, count, non_temporal, gradient);
  } else {
    write_elements(destination, count, false,
                   [&](index_t j) { return load(destination[j]) + gradient(j); });
  }
}

/// The same for all columns of a row.
template <element T, class Gradient>
void put_gradient(const operand<T>& x, index_t i, const Gradient& gradient,
                  bool non_temporal = false) {
  put_gradients(x, i, 0, x.gradient.cols(), non_temporal, gradient);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
