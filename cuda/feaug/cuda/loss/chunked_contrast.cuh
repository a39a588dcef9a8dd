// The softmax pass and the gradient pass over the logits in chunks, for any precision and any number
// of features.
//
// The matrix of logits is split into tiles that fit the L2 cache. A matrix product computes a tile
// of cosines, a kernel replaces them by weights, and a second product adds the weighted sums of the
// columns (the features that the rows are compared with) to the rows' results. Tiles are added in a
// fixed order without atomics, so every run gives the same bits.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <cmath>

#include "feaug/core/element.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/core/products.cuh"
#include "feaug/cuda/core/warps.cuh"
#include "feaug/cuda/loss/contrast_problem.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda::inline FEAUG_CUBLAS_NAMESPACE {

/// The size of a tile of logits, from the shape alone: at most 2²² elements, 16 MiB of floats.
struct tiling {
  index_t rows;
  index_t columns;

  tiling(index_t all_rows, index_t all_columns) {
    constexpr index_t elements = index_t{1} << 22;
    columns = std::clamp<index_t>(all_columns, 1, 8192);
    rows = std::clamp<index_t>(elements / columns, 1, std::max<index_t>(all_rows, 1));
  }
};

/// A tile of logits, rows × columns without gaps. It holds cosines, then weights.
template <class C>
struct logit_tile {
  product_scratch scratch;  ///< for the products that read or write the tile
  C* cosines;
  index_t first_row;
  index_t rows;
  index_t first_column;
  index_t columns;
};

/// Online-softmax state of the rows: Σ exp(s − shift) of the tiles so far.
template <class C>
struct running_sums {
  C* shift;
  double* sum;
  double* cosine_sum;
  double* positive_sum;  ///< sum of the positives' logits; only with labels
};

/// Threads per block of the tile kernels; a block processes one row.
inline constexpr int tile_threads = 128;

namespace detail {

/// Combines one value per warp over the block; every thread gets the result.
template <class C, class Combine>
__device__ C over_block(C value, C* shared, const Combine& combine) {
  const int thread = static_cast<int>(threadIdx.x);
  __syncthreads();
  if (thread % warp_lanes == 0) shared[thread / warp_lanes] = value;
  __syncthreads();
  value = shared[0];
  for (int warp = 1; warp < tile_threads / warp_lanes; ++warp) value = combine(value, shared[warp]);
  return value;
}

template <class C>
__device__ C exponential(C x) {
  return std::exp(x);
}

}  // namespace detail

// The online-softmax step for a tile: cosines become exp(s − shift); the row's running sums are
// rescaled and the tile's sums are added; the row's mean, if not null, is only rescaled. One block
// per row of the tile. Limited by L2 cache bandwidth: reads each cosine twice, writes one weight;
// one exponential per logit. Registers: at most 80. (The minimum of 6 blocks prevents spilling:
// without it, ptxas uses fewer registers on sm_90.)
template <element T>
__global__ void __launch_bounds__(tile_threads, 6)
    softmax_tile_kernel(contrast_problem<T> problem, logit_tile<compute_t<T>> tile,
                        running_sums<compute_t<T>> running, compute_t<T>* mean) {
  using C = compute_t<T>;
  struct shared_type {
    C largest[tile_threads / warp_lanes];
    double sum[tile_threads / warp_lanes];
    double cosine_sum[tile_threads / warp_lanes];
    double positive_sum[tile_threads / warp_lanes];
  };
  FEAUG_SHARED(shared_type, shared);
  const C scale = static_cast<C>(1.0 / problem.temperature.value());
  const left_out_columns left_out = problem.left_out();
  const feaug::detail::labelling labels = problem.labels;
  const row_filter filter = problem.filter;
  const index_t filled = filter.given() ? filter.count() : 0;
  const auto passes_over = [=](index_t i, index_t j) {
    return left_out.contain(i, j) || (filter.given() && (j >= filled || filter.excludes(i, j)));
  };
  const auto add = [](double a, double b) { return a + b; };
  for (index_t r = blockIdx.x; r < tile.rows; r += gridDim.x) {
    const index_t i = tile.first_row + r;
    C* const cosines = tile.cosines + r * tile.columns;
    C largest = detail::minus_infinity<C>();
    for (index_t c = threadIdx.x; c < tile.columns; c += tile_threads) {
      if (passes_over(i, tile.first_column + c)) continue;
      largest = cosines[c] > largest ? cosines[c] : largest;
    }
    largest = detail::over_block(warp_max(largest), shared.largest,
                                 [](C a, C b) { return b > a ? b : a; });
    const C before = running.shift[i];
    const C scaled = scale * largest;
    const C after = scaled > before ? scaled : before;
    // If all logits so far are −∞ (all left out) or NaN, any finite shift gives the correct 0 or
    // NaN.
    const C shift = after - after == C{0} ? after : C{0};
    double sum = 0;
    double cosine_sum = 0;
    double positive_sum = 0;
    for (index_t c = threadIdx.x; c < tile.columns; c += tile_threads) {
      const C cosine = cosines[c];
      const bool is_out = passes_over(i, tile.first_column + c);
      const C weight = is_out ? C{0} : detail::exponential(scale * cosine - shift);
      cosines[c] = weight;
      sum += static_cast<double>(weight);
      if (weight != C{0}) cosine_sum += static_cast<double>(weight) * static_cast<double>(cosine);
      if (!is_out && labels.given() && labels.label[i] == labels.label[tile.first_column + c])
        positive_sum += static_cast<double>(scale * cosine);
    }
    sum = detail::over_block(warp_sum(sum), shared.sum, add);
    cosine_sum = detail::over_block(warp_sum(cosine_sum), shared.cosine_sum, add);
    if (labels.given())
      positive_sum = detail::over_block(warp_sum(positive_sum), shared.positive_sum, add);
    const C rescale = before - before == C{0} ? detail::exponential(before - shift) : C{1};
    if (mean != nullptr && rescale != C{1}) {
      for (index_t d = threadIdx.x; d < problem.cols; d += tile_threads)
        mean[i * problem.cols + d] *= rescale;
    }
    __syncthreads();  // every thread has read the shift
    if (threadIdx.x == 0) {
      running.shift[i] = after;
      running.sum[i] = running.sum[i] * static_cast<double>(rescale) + sum;
      running.cosine_sum[i] = running.cosine_sum[i] * static_cast<double>(rescale) + cosine_sum;
      if (labels.given()) running.positive_sum[i] += positive_sum;
    }
  }
}

// Initialises the running sums. One thread per row. Limited by memory bandwidth: writes up to 32
// bytes a row.
template <class C>
__global__ void __launch_bounds__(256)
    begin_running_sums_kernel(running_sums<C> running, index_t rows) {
  for (index_t i = static_cast<index_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < rows;
       i += static_cast<index_t>(gridDim.x) * blockDim.x) {
    running.shift[i] = detail::minus_infinity<C>();
    running.sum[i] = 0;
    running.cosine_sum[i] = 0;
    if (running.positive_sum != nullptr) running.positive_sum[i] = 0;
  }
}

// log_sum_exp, mean_cosine and mean from the running sums. One warp per row. Limited by memory
// bandwidth: reads and writes the mean. Registers: at most 64.
template <class C>
__global__ void __launch_bounds__(256) finish_softmax_kernel(running_sums<C> running, index_t rows,
                                                             index_t cols, softmax_rows<C> out) {
  const int lane = static_cast<int>(threadIdx.x);
  for (index_t i = static_cast<index_t>(blockIdx.x) * blockDim.y + threadIdx.y; i < rows;
       i += static_cast<index_t>(gridDim.x) * blockDim.y) {
    const double sum = running.sum[i];
    const C shift = running.shift[i];
    const double share = sum == 0 ? 0.0 : 1.0 / sum;
    if (lane == 0) {
      const double known = shift - shift == C{0} ? static_cast<double>(shift) : 0.0;
      out.log_sum_exp[i] = sum == 0 ? detail::minus_infinity<double>() : known + std::log(sum);
      if (out.mean_cosine != nullptr) out.mean_cosine[i] = running.cosine_sum[i] * share;
    }
    for (index_t d = lane; out.mean != nullptr && d < cols; d += warp_lanes)
      out.mean[i * cols + d] *= static_cast<C>(share);
  }
}

/// tile.cosines = rows · columnsᵀ.
template <element T>
void multiply_tile(const operation& call, const contrast_problem<T>& problem,
                   const logit_tile<compute_t<T>>& tile) {
  multiply<compute_t<T>>(call, tile.scratch,
                         {.rows = tile.rows,
                          .inner = problem.cols,
                          .columns = tile.columns,
                          .a = problem.rows.packed + tile.first_row * problem.cols,
                          .a_stride = problem.cols,
                          .b = problem.columns.packed + tile.first_column * problem.cols,
                          .b_stride = problem.cols,
                          .b_transposed = true,
                          .c = tile.cosines,
                          .c_stride = tile.columns});
}

/// sums (of all rows) += weights of the tile · columns.
template <element T>
void add_weighted_columns(const operation& call, const contrast_problem<T>& problem,
                          const logit_tile<compute_t<T>>& tile, compute_t<T>* sums) {
  multiply<compute_t<T>>(call, tile.scratch,
                         {.rows = tile.rows,
                          .inner = tile.columns,
                          .columns = problem.cols,
                          .a = tile.cosines,
                          .a_stride = tile.columns,
                          .b = problem.columns.packed + tile.first_column * problem.cols,
                          .b_stride = problem.cols,
                          .c = sums + tile.first_row * problem.cols,
                          .c_stride = problem.cols,
                          .adds = true});
}

/// Calls act(tile) for every tile of the matrix of logits, after a product has computed its
/// cosines.
template <element T, class Act>
void for_each_tile(operation& call, const contrast_problem<T>& problem, const Act& act) {
  const index_t rows = problem.rows.rows();
  const index_t columns = problem.columns.rows();
  const tiling cut(rows, columns);
  const product_scratch scratch = take_product_scratch(call);
  auto* cosines = call.take<compute_t<T>>(cut.rows * cut.columns);
  for (index_t r = 0; r < rows; r += cut.rows) {
    for (index_t c = 0; c < columns; c += cut.columns) {
      const logit_tile<compute_t<T>> tile = {.scratch = scratch,
                                             .cosines = cosines,
                                             .first_row = r,
                                             .rows = std::min(cut.rows, rows - r),
                                             .first_column = c,
                                             .columns = std::min(cut.columns, columns - c)};
      multiply_tile(call, problem, tile);
      act(tile);
    }
  }
}

/// softmax_pass, chunked. Scratch: 16 MiB (32 for doubles) and 24 bytes a row.
template <element T>
void chunked_softmax(operation& call, const contrast_problem<T>& problem,
                     const softmax_rows<compute_t<T>>& out) {
  using C = compute_t<T>;
  const index_t rows = problem.rows.rows();
  const running_sums<C> running = {.shift = call.take<C>(rows),
                                   .sum = call.take<double>(rows),
                                   .cosine_sum = call.take<double>(rows),
                                   .positive_sum = out.positive_sum};
  call.launch(begin_running_sums_kernel<C>, grid_size(rows, 256), 256, 0, running, rows);
  if (out.mean != nullptr) {
    call.set_zero(out.mean, rows * problem.cols);
  }
  for_each_tile(call, problem, [&](const logit_tile<C>& tile) {
    call.launch(softmax_tile_kernel<T>, grid_size(tile.rows, 1), tile_threads, 0, problem, tile,
                running, out.mean);
    if (out.mean != nullptr) add_weighted_columns(call, problem, tile, out.mean);
  });
  const dim3 block(warp_lanes, 8);
  call.launch(finish_softmax_kernel<C>, grid_size(rows, block.y), block, 0, running, rows,
              problem.cols, out);
}

// Replaces each cosine of a tile by the weight of the column in the row's gradient. One block per
// row of the tile. Limited by L2 cache bandwidth: reads one cosine, writes one weight; one
// exponential for each of of_rows and of_columns that is given. Registers: at most 64.
template <element T>
__global__ void __launch_bounds__(tile_threads)
    gradient_tile_kernel(contrast_problem<T> problem, logit_tile<compute_t<T>> tile,
                         softmax_weights of_rows, softmax_weights of_columns) {
  using C = compute_t<T>;
  const C scale = static_cast<C>(1.0 / problem.temperature.value());
  const left_out_columns left_out = problem.left_out();
  const feaug::detail::labelling labels = problem.labels;
  const auto weight = [scale](C cosine, double coefficient, double log_sum_exp) {
    return static_cast<C>(coefficient) *
           detail::exponential(scale * cosine - detail::exponent_shift<C>(log_sum_exp));
  };
  for (index_t r = blockIdx.x; r < tile.rows; r += gridDim.x) {
    const index_t i = tile.first_row + r;
    C* const cosines = tile.cosines + r * tile.columns;
    for (index_t c = threadIdx.x; c < tile.columns; c += tile_threads) {
      const index_t j = tile.first_column + c;
      C sum = 0;
      if (!left_out.contain(i, j)) {
        if (of_rows.given())
          sum += weight(cosines[c], of_rows.coefficient[i], of_rows.log_sum_exp[i]);
        if (of_columns.given())
          sum += weight(cosines[c], of_columns.coefficient[j], of_columns.log_sum_exp[j]);
        if (labels.given() && labels.label[i] == labels.label[j]) {
          const double positive_gradient = of_rows.coefficient[i] + of_columns.coefficient[j];
          sum -= static_cast<C>(positive_gradient * labels.positive_share[i]);
        }
      }
      cosines[c] = sum;
    }
  }
}

/// sums = Σ_j weight_ij column_j, rows × cols, chunked. Scratch: 16 MiB (32 for doubles).
template <element T>
void chunked_weighted_sums(operation& call, const contrast_problem<T>& problem,
                           const softmax_weights& of_rows, const softmax_weights& of_columns,
                           compute_t<T>* sums) {
  call.set_zero(sums, problem.rows.rows() * problem.cols);
  for_each_tile(call, problem, [&](const logit_tile<compute_t<T>>& tile) {
    call.launch(gradient_tile_kernel<T>, grid_size(tile.rows, 1), tile_threads, 0, problem, tile,
                of_rows, of_columns);
    add_weighted_columns(call, problem, tile, sums);
  });
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda

#include "feaug/header_end.hpp"
