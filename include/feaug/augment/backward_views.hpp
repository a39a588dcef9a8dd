// The argument checks that start every augmentation's backward pass.
#pragma once

#include "feaug/header_begin.hpp"

#include <string_view>
#include <type_traits>

#include "feaug/core/element.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace check {

/// x is valid and grad_out has its shape. x's destination does not overlap grad_out, except that it
/// may be grad_out itself in overwrite mode if `may_be_same`.
template <element T, memory_space S>
void backward_views(std::string_view op, const operand<T, 2, S>& x,
                    const std::type_identity_t<matrix_view<const T, S>>& grad_out,
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
}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
