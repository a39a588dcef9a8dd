// Softmax of each row over the other rows, and the uniformity computed from it, for the loss and
// the diagnostics.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/core/element.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/loss/concatenated_rows.cuh"
#include "feaug/cuda/loss/contrast.cuh"
#include "feaug/cuda/loss/row_losses.cuh"
#include "feaug/loss/alignment_and_uniformity.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda::inline FEAUG_CUBLAS_NAMESPACE {

/// The softmax of each row over all other rows, with s_ij = 2t·cos_ij: log Σ_{j≠i} exp s_ij and, if
/// wanted, Σ_{j≠i} softmax_ij · unit_j.
template <element T>
void softmax_over_others(const operation& call, const concatenated_rows<T>& stack, double t,
                         const softmax_rows<compute_t<T>>& out) {
  softmax_pass<T>(call.context(), call.name(),
                  {.rows = stack,
                   .columns = stack,
                   .positives = stack,
                   .pairs = {.self = true},
                   .positives_are_columns = false,
                   .cols = stack.first.cols(),
                   .temperature = {.given = {.option = 1 / (2 * t)}}},
                  out);
}

// *to = weight · uniformity; slopes[i] = the factor of row i's softmax mean in its gradient (null:
// not wanted). One block. Limited by latency: reads 8 bytes a row two or three times, one or two
// exponentials a row.
template <class Number>
__global__ void __launch_bounds__(sum_threads)
    uniformity_kernel(const Number* log_sum_exps, index_t rows, double t, double weight, Number* to,
                      Number* slopes) {
  const double largest = block_max(rows, [=](index_t i) { return log_sum_exps[i]; });
  const feaug::detail::pair_sum all = {.largest = largest, .sum = block_sum(rows, [=](index_t i) {
                                                             return exp(log_sum_exps[i] - largest);
                                                           })};
  if (threadIdx.x == 0) *to = weight * all.uniformity(t, rows);
  if (slopes == nullptr) return;
  for (index_t i = threadIdx.x; i < rows; i += sum_threads)
    slopes[i] = weight * all.slope(t, log_sum_exps[i]);
}

/// Writes weight · uniformity, from the log-sums of softmax_over_others, to one element.
inline void write_uniformity(const operation& call, const double* log_sum_exps, index_t rows,
                             double t, double weight, double* to, double* slopes) {
  call.launch(uniformity_kernel<double>, 1, sum_threads, 0, log_sum_exps, rows, t, weight, to,
              slopes);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda

#include "feaug/header_end.hpp"
