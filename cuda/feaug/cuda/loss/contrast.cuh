// The two passes over logits that every contrastive loss is made of, as the CPU has them:
// feaug/cpu/loss/contrast.hpp says what they compute and why the positive is left out of the sums.
//
// Two ways to carry them out: by chunks, the fallback and the measure of correctness, or fused, one
// kernel a pass on tensor cores.
#pragma once

#include <string_view>

#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/row_norm.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/unit_backward.cuh"
#include "feaug/cuda/loss/chunked_contrast.cuh"
#include "feaug/cuda/loss/contrast_problem.cuh"
#include "feaug/cuda/loss/fused_contrast.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda {

/// The soft-max of every row over its columns, the positive left out. One product a logit, two with
/// the mean: with stopped columns this is the loss and all its gradient. Scratch: see the two ways.
template <element T>
void soft_max_pass(cuda_context& ctx, std::string_view op, const contrast<T>& problem,
                   const soft_max_rows<compute_t<T>>& out) {
  operation call(ctx, op);
  if constexpr (can_fuse<T>) {
    if (is_fused(problem)) {
      fused_soft_max(call, problem, out);
      return;
    }
  }
  chunked_soft_max(call, problem, out);
}

/// The gradient by x, whose rows are those of the problem, given the soft-max of the rows over the
/// columns, of the columns over the rows, or both. With the sides exchanged it gives the gradient
/// by the columns. Scratch: rows × cols, and see the two ways.
template <element T>
void gradient_pass(cuda_context& ctx, std::string_view op, const contrast<T>& problem,
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
