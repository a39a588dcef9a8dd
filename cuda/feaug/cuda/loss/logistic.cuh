// The pass over the logits of losses that classify every pair on its own (sigmoid), chunked as in
// loss/chunked_contrast.cuh; the same as feaug/cpu/loss/logistic.hpp.
#pragma once

#include "feaug/header_begin.hpp"

#include <cmath>
#include <string_view>

#include "feaug/core/element.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/core/warps.cuh"
#include "feaug/cuda/loss/chunked_contrast.cuh"
#include "feaug/cuda/loss/contrast_problem.cuh"
#include "feaug/cuda/loss/row_losses.cuh"
#include "feaug/cuda/loss/temperature.cuh"
#include "feaug/loss/row_reduction.hpp"
#include "feaug/loss/sigmoid.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda::inline FEAUG_CUBLAS_NAMESPACE {

/// s_ij = scale · row_i · column_j + bias.
template <element T>
struct logistic_problem {
  contrast_problem<T> pairs;
  number<compute_t<T>> scale;
  number<compute_t<T>> bias;
};

/// Results for every row, arrays in device memory. They start with the positive's terms;
/// logistic_pass adds those of the other columns.
struct logistic_rows {
  double* weight = nullptr;             ///< weight of the row's loss in the gradients
  double* positive_gradient = nullptr;  ///< weight · σ(−s_positive)
  double* row_loss = nullptr;
  double* scale_term = nullptr;  ///< ∂L/∂scale
  double* bias_term = nullptr;   ///< ∂L/∂bias
};

// The positive's terms of each row. One warp per row. Limited by memory bandwidth: reads 2·cols
// elements, writes 40 bytes. (Without a minimum of 4 blocks, ptxas would use fewer registers on
// sm_80, and spill.) Registers: at most 64.
template <element T>
__global__ void __launch_bounds__(256, 4)
    begin_logistic_rows_kernel(logistic_problem<T> problem, row_reduction<compute_t<T>> reduction,
                               logistic_rows rows) {
  const int lane = static_cast<int>(threadIdx.x);
  const contrast_problem<T>& pairs = problem.pairs;
  for (index_t i = static_cast<index_t>(blockIdx.x) * blockDim.y + threadIdx.y;
       i < pairs.rows.rows(); i += static_cast<index_t>(gridDim.x) * blockDim.y) {
    const double cosine =
        warp_dot(pairs.rows, i, pairs.positives, pairs.pairs.positive(i), pairs.cols, lane);
    if (lane != 0) continue;
    const feaug::detail::matching_pair pair(cosine, problem.scale.value(), problem.bias.value());
    const double weight = reduction.gradient_weight(i);
    rows.weight[i] = weight;
    rows.positive_gradient[i] = weight * pair.positive_gradient;
    rows.row_loss[i] = pair.loss;
    rows.scale_term[i] = pair.by_scale(weight, cosine);
    rows.bias_term[i] = pair.by_bias(weight);
  }
}

// Replaces each cosine of a tile by w·σ(s), with w the weight of the row or of the column, and adds
// the row's sums to `sums` if its row_loss is not null. One block per row of the tile. Limited by
// L2 cache bandwidth and by exponentials: reads one cosine, writes one weight; one exponential per
// logit, with sums one logarithm more. Registers: at most 64.
template <element T>
__global__ void __launch_bounds__(tile_threads)
    logistic_tile_kernel(logistic_problem<T> problem, logit_tile<compute_t<T>> tile,
                         const double* row_weight, const double* column_weight,
                         logistic_rows sums) {
  using C = compute_t<T>;
  struct shared_type {
    double loss[tile_threads / warp_lanes];
    double scale_term[tile_threads / warp_lanes];
    double bias_term[tile_threads / warp_lanes];
  };
  FEAUG_SHARED(shared_type, shared);
  const C scale = static_cast<C>(problem.scale.value());
  const C bias = static_cast<C>(problem.bias.value());
  const left_out_columns left_out = problem.pairs.left_out();
  const auto add = [](double a, double b) { return a + b; };
  for (index_t r = blockIdx.x; r < tile.rows; r += gridDim.x) {
    const index_t i = tile.first_row + r;
    C* const cosines = tile.cosines + r * tile.columns;
    double loss = 0;
    double scale_term = 0;
    double bias_term = 0;
    for (index_t c = threadIdx.x; c < tile.columns; c += tile_threads) {
      const index_t j = tile.first_column + c;
      const C cosine = cosines[c];
      if (left_out.contain(i, j)) {
        cosines[c] = C{0};
        continue;
      }
      const C s = scale * cosine + bias;
      const C e = detail::exponential(s < C{0} ? s : -s);
      const C weight = static_cast<C>(row_weight != nullptr ? row_weight[i] : column_weight[j]) *
                       ((s < C{0} ? e : C{1}) / (C{1} + e));
      cosines[c] = weight;
      if (sums.row_loss == nullptr) continue;
      loss += static_cast<double>((s > C{0} ? s : C{0}) + std::log1p(e));
      scale_term += static_cast<double>(weight) * static_cast<double>(cosine);
      bias_term += static_cast<double>(weight);
    }
    if (sums.row_loss == nullptr) continue;
    loss = detail::over_block(warp_sum(loss), shared.loss, add);
    scale_term = detail::over_block(warp_sum(scale_term), shared.scale_term, add);
    bias_term = detail::over_block(warp_sum(bias_term), shared.bias_term, add);
    if (threadIdx.x == 0) {
      sums.row_loss[i] += loss;
      sums.scale_term[i] += scale_term;
      sums.bias_term[i] += bias_term;
    }
  }
}

/// Allocates the row results and computes the positives' terms.
template <element T>
logistic_rows begin_logistic_rows(operation& call, const logistic_problem<T>& problem,
                                  const row_reduction<compute_t<T>>& reduction) {
  const index_t count = problem.pairs.rows.rows();
  const logistic_rows rows = {.weight = call.take<double>(count),
                              .positive_gradient = call.take<double>(count),
                              .row_loss = call.take<double>(count),
                              .scale_term = call.take<double>(count),
                              .bias_term = call.take<double>(count)};
  const dim3 block(warp_lanes, 8);
  call.launch(begin_logistic_rows_kernel<T>, grid_size(count, block.y), block, 0, problem,
              reduction, rows);
  return rows;
}

/// Adds the terms of the other columns to `sums`, if its row_loss is not null. If `column_sums`
/// (rows × cols) is not null, sets it to Σ_j w σ(s_ij) column_j, with w the weight of the row or of
/// the column, whichever array is not null. Scratch: 16 MiB (32 for doubles).
template <element T>
void logistic_pass(cuda_context& ctx, std::string_view op, const logistic_problem<T>& problem,
                   const double* row_weight, const double* column_weight, const logistic_rows& sums,
                   compute_t<T>* column_sums) {
  operation call(ctx, op);
  const contrast_problem<T>& pairs = problem.pairs;
  if (column_sums != nullptr) call.set_zero(column_sums, pairs.rows.rows() * pairs.cols);
  for_each_tile(call, pairs, [&](const logit_tile<compute_t<T>>& tile) {
    call.launch(logistic_tile_kernel<T>, grid_size(tile.rows, 1), tile_threads, 0, problem, tile,
                row_weight, column_weight, sums);
    if (column_sums != nullptr) add_weighted_columns(call, pairs, tile, column_sums);
  });
}

/// The gradient with respect to the unit rows: scale · (Σ_j w σ(s_ij) column_j − pull_i ·
/// positive_i).
template <element T>
struct logistic_gradient {
  logistic_problem<T> problem;
  const compute_t<T>* sums;
  const double* positive_gradient;

  __device__ double operator()(index_t i, index_t j) const {
    const contrast_problem<T>& pairs = problem.pairs;
    const double positive =
        positive_gradient[i] * pairs.positives.element(pairs.pairs.positive(i), j);
    return problem.scale.value() * (static_cast<double>(sums[i * pairs.cols + j]) - positive);
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda

#include "feaug/header_end.hpp"
