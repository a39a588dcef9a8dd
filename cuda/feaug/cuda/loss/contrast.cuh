// The two passes over logits on which all contrastive losses are built. feaug/cpu/loss/contrast.hpp
// says what they compute and why the positive is left out of the sums.
//
// There are two implementations: chunked, the fallback and the reference for correctness, and
// fused, one tensor-core kernel per pass.
#pragma once

#include "feaug/header_begin.hpp"

#include <string_view>

#include "feaug/core/element.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/unit_backward.cuh"
#include "feaug/cuda/loss/chunked_contrast.cuh"
#include "feaug/cuda/loss/contrast_problem.cuh"
#include "feaug/cuda/loss/fused_contrast.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda::inline FEAUG_CUBLAS_NAMESPACE {

/// The softmax of every row over its columns without the positive. One product per logit, two with
/// the mean; with stopped columns this is the loss and its whole gradient. Scratch: see the two
/// implementations.
template <element T>
void softmax_pass(cuda_context& ctx, std::string_view op, const contrast_problem<T>& problem,
                  const softmax_rows<compute_t<T>>& out) {
  operation call(ctx, op);
  if constexpr (can_fuse<T>) {
    if (is_fused(problem)) {
      fused_softmax(call, problem, out);
      return;
    }
  }
  chunked_softmax(call, problem, out);
}

/// The gradient with respect to x, whose rows are the problem's rows, from the softmax of the rows
/// over the columns, of the columns over the rows, or both. On the swapped() problem it gives the
/// gradient with respect to the columns. Scratch: rows × cols, and that of the implementation.
template <element T>
void gradient_pass(cuda_context& ctx, std::string_view op, const contrast_problem<T>& problem,
                   const softmax_weights& of_rows, const softmax_weights& of_columns,
                   const operand<T, 2, memory_space::device>& x) {
  using C = compute_t<T>;
  operation call(ctx, op);
  C* const sums = call.take<C>(problem.rows.rows() * problem.cols);
  bool is_done = false;
  if constexpr (can_fuse<T>) {
    is_done = is_fused(problem);
    if (is_done) fused_weighted_sums(call, problem, of_rows, of_columns, sums);
  }
  if (!is_done) chunked_weighted_sums(call, problem, of_rows, of_columns, sums);
  unit_backward(call, x, problem.rows.inverse, default_norm_eps,
                contrast_gradient<T>{problem, sums, of_rows, of_columns});
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda

#include "feaug/header_end.hpp"
