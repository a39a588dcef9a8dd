// Writes rows of a gradient to an operand's destination.
#pragma once

#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/streaming.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// Whether the gradient of x, computed from grad_out, is written with non-temporal stores. Not in
/// accumulate mode, where the destination is read first.
template <element T>
bool streams_gradient(const operand<T>& x, const matrix_view<const T>& grad_out) {
  return x.mode == gradient_mode::overwrite && worth_streaming(x.gradient, grad_out);
}

/// Writes gradient(j), for j < count, to column first + j of row i of x's destination, by
/// overwriting or accumulating. Does nothing for a stopped operand.
template <element T, class Gradient>
void put_gradients(const operand<T>& x, index_t i, index_t first, index_t count, bool past_caches,
                   const Gradient& gradient) {
  if (!x.wants_gradient()) return;
  T* const destination = x.gradient.row(i) + first;
  if (x.mode == gradient_mode::overwrite) {
    write_elements(destination, count, past_caches, gradient);
  } else {
    write_elements(destination, count, false,
                   [&](index_t j) { return load(destination[j]) + gradient(j); });
  }
}

/// The same for all columns of a row.
template <element T, class Gradient>
void put_gradient(const operand<T>& x, index_t i, const Gradient& gradient,
                  bool past_caches = false) {
  put_gradients(x, i, 0, x.gradient.cols(), past_caches, gradient);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu
