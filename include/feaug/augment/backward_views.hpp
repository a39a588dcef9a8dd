// What the backward pass of every augmentation starts and ends with: the checks of its views, and
// the gradient's way out.
#pragma once

#include <string_view>
#include <type_traits>

#include "feaug/core/error.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/streaming.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace check {

/// x is valid and grad_out has its shape; x's destination lies apart from grad_out, or (if it
/// `may_be_same`) is grad_out itself in overwrite mode.
template <element T, memory_space S>
void backward_views(std::string_view op, const operand<T, 2, S>& x,
                    const matrix_view<const std::type_identity_t<T>, S>& grad_out,
                    bool may_be_same) {
  valid(op, "x", x);
  readable(op, "grad_out", grad_out);
  has_shape(op, "grad_out", grad_out, x.value.rows(), x.value.cols(), "x");
  if (may_be_same && x.mode == gradient_mode::overwrite) {
    apart_or_same(op, "gradient of x", x.gradient, "grad_out", grad_out);
  } else if (x.wants_gradient()) {
    apart(op, "gradient of x", x.gradient, "grad_out", grad_out);
  }
}

}  // namespace check

namespace cpu {

/// Whether the gradient of x, made of grad_out, is to be written past the caches: where it is added
/// to, it has been read.
template <element T>
bool streams_gradient(const operand<T>& x, const matrix_view<const T>& grad_out) {
  return x.mode == gradient_mode::overwrite && worth_streaming(x.gradient, grad_out);
}

/// Puts gradient(j), for j < count, into column first + j of row i where x's operand wants it. A
/// stopped side is left alone.
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

}  // namespace cpu
}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
