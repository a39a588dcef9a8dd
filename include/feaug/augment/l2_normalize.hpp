// Options and argument checks of l2_normalize, shared by all backends.
#pragma once

#include <string_view>
#include <type_traits>

#include "feaug/augment/backward_views.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/row_norm.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

struct l2_normalize_options {
  double eps =
      default_norm_eps;  ///< rows of this norm or less are divided by it instead of their norm
};

namespace check {

/// The arguments of l2_normalize.
template <element T, memory_space S>
void l2_normalize_arguments(const matrix_view<const T, S>& x, const matrix_view<T, S>& out,
                            const l2_normalize_options& options) {
  constexpr std::string_view op = "l2_normalize";
  readable(op, "x", x);
  writable(op, "out", out);
  has_shape(op, "out", out, x.rows(), x.cols(), "x");
  apart_or_same(op, "out", out, "x", x);
  positive(op, "eps", options.eps);
}

/// The arguments of l2_normalize_backward.
template <element T, memory_space S>
void l2_normalize_backward_arguments(const operand<T, 2, S>& x,
                                     const matrix_view<const T, S>& grad_out,
                                     const l2_normalize_options& options) {
  constexpr std::string_view op = "l2_normalize_backward";
  backward_views(op, x, grad_out, /*may_be_same=*/true);
  positive(op, "eps", options.eps);
}

}  // namespace check
}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
