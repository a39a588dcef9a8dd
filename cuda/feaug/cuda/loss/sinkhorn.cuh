// CUDA implementation of sinkhorn: turns scores into assignments that use all prototypes equally.
#pragma once

#include "feaug/header_begin.hpp"

#include <cmath>
#include <string_view>

#include "feaug/core/element.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/pointers.cuh"
#include "feaug/cuda/core/vectors.cuh"
#include "feaug/cuda/core/warps.cuh"
#include "feaug/cuda/loss/row_losses.cuh"
#include "feaug/loss/assignment.hpp"
#include "feaug/loss/sinkhorn.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

template <element T>
using device_sinkhorn_options = sinkhorn_options<T, memory_space::device>;
template <element T>
using device_assignment_target = assignment_target<T, memory_space::device>;

namespace cuda::inline FEAUG_CUBLAS_NAMESPACE {

/// eˣ in C's precision, of a difference computed in double.
template <class C>
struct exp_of_difference {
  __device__ double operator()(double x) const {
    return static_cast<double>(std::exp(static_cast<C>(x < -1000.0 ? -1000.0 : x)));
  }
};

using feaug::detail::log_sum_exp;
using feaug::detail::lowering;

/// Merges two log-sum-exps.
template <class C>
__device__ log_sum_exp merged(const log_sum_exp& a, const log_sum_exp& b) {
  const exp_of_difference<C> exp;
  const double largest = a.largest > b.largest ? a.largest : b.largest;
  // If the largest is ∞, this is NaN, and so is value().
  return {largest, a.sum * exp(a.largest - largest) + b.sum * exp(b.largest - largest)};
}

/// The log-sum-exp over all lanes' values, in every lane. Lanes merge by xor, so that all get the
/// same bits.
template <class C>
__device__ log_sum_exp warp_log_sum_exp(log_sum_exp own) {
  FEAUG_UNROLL
  for (int bits = warp_lanes / 2; bits > 0; bits /= 2) {
    const log_sum_exp other = {__shfl_xor_sync(all_lanes, own.largest, bits),
                               __shfl_xor_sync(all_lanes, own.sum, bits)};
    own = merged<C>(own, other);
  }
  return own;
}

/// The softmax of one row, computed by one warp.
template <element T>
struct warp_softmax {
  feaug::detail::row_exponents<T, memory_space::device> exponents;
  double shift;  ///< the largest exponent; 0 if all are −∞
  double sum;    ///< of the weights

  __device__ warp_softmax(const T* scores, double scale,
                          const device_vector<const double>& potentials, index_t cols, int lane)
      : exponents{scores, scale, potentials} {
    const exp_of_difference<compute_t<T>> exp;
    log_sum_exp own;
    for (index_t j = lane; j < cols; j += warp_lanes) own.add(exponents(j), exp);
    const log_sum_exp all = warp_log_sum_exp<compute_t<T>>(own);
    // If all exponents are −∞, the sum is 0 and the largest keeps its initial value.
    shift = all.sum == 0 ? 0.0 : all.largest;
    sum = all.largest > feaug::detail::largest_finite ? all.largest - all.largest : all.sum;
  }

  [[nodiscard]] __device__ double log_sum_exp_value() const { return shift + std::log(sum); }
  [[nodiscard]] __device__ double weight(index_t j) const {
    return exp_of_difference<compute_t<T>>{}(exponents(j) - shift);
  }
  /// The factor from weights to assignments, as in cpu::row_softmax.
  [[nodiscard]] __device__ double factor(bool rows_sum_to_one) const {
    if (!rows_sum_to_one) return std::exp(shift);
    return sum == 0 ? 0.0 : 1.0 / sum;
  }
};

/// Rows of scores, followed by extra rows that take part in the balancing only.
template <element T>
struct stacked_scores {
  device_matrix<const T> first;
  device_matrix<const T> second;

  [[nodiscard]] FEAUG_HD index_t rows() const { return first.rows() + second.rows(); }
  [[nodiscard]] FEAUG_HD index_t cols() const { return first.cols(); }
  [[nodiscard]] FEAUG_HD const T* row(index_t i) const {
    return i < first.rows() ? first.row(i) : second.row(i - first.rows());
  }
};

// log_sum_exps[i] = log Σ_j exp(scale · score_ij + potential_j). One warp per row. Limited by
// exponentials, one per score, and by memory bandwidth: reads each score once. Registers: at most
// 64.
template <element T>
__global__ void __launch_bounds__(256)
    row_log_sum_exps_kernel(stacked_scores<T> scores, double scale,
                            device_vector<const double> potentials, double* log_sum_exps) {
  const int lane = static_cast<int>(threadIdx.x);
  for (index_t i = static_cast<index_t>(blockIdx.x) * blockDim.y + threadIdx.y; i < scores.rows();
       i += static_cast<index_t>(gridDim.x) * blockDim.y) {
    const warp_softmax<T> row(scores.row(i), scale, potentials, scores.cols(), lane);
    if (lane == 0) log_sum_exps[i] = row.log_sum_exp_value();
  }
}

inline constexpr int column_rows = 16;  ///< rows that a block reads at a time

// potentials[j] = −log Σ_i exp(scale · score_ij − log_sum_exp_i); null log_sum_exps count as 0; a potential
// is 0 if its column has only −∞. A block computes 32 columns; each of its 16 warps takes every
// 16th row, and the 16 log-sum-exps of a column are merged in order. Limited by exponentials, one
// per score, and by memory bandwidth: reads each score once. Shared memory: 8 KiB. Registers: at
// most 64.
template <element T>
__global__ void __launch_bounds__(warp_lanes* column_rows)
    column_potentials_kernel(stacked_scores<T> scores, double scale, const double* log_sum_exps,
                             double* potentials) {
  struct shared_type {
    double largest[column_rows][warp_lanes];
    double sum[column_rows][warp_lanes];
  };
  FEAUG_SHARED(shared_type, shared);
  using C = compute_t<T>;
  const int lane = static_cast<int>(threadIdx.x);
  const int part = static_cast<int>(threadIdx.y);
  for (index_t first = static_cast<index_t>(blockIdx.x) * warp_lanes; first < scores.cols();
       first += static_cast<index_t>(gridDim.x) * warp_lanes) {
    const index_t j = first + lane;
    log_sum_exp own;
    for (index_t i = part; i < scores.rows() && j < scores.cols(); i += column_rows) {
      const double lowered = log_sum_exps == nullptr ? 0.0 : lowering(log_sum_exps[i]);
      own.add(static_cast<double>(load(scores.row(i)[j])) * scale + lowered,
              exp_of_difference<C>{});
    }
    shared.largest[part][lane] = own.largest;
    shared.sum[part][lane] = own.sum;
    __syncthreads();
    if (part == 0 && j < scores.cols()) {
      for (int k = 1; k < column_rows; ++k)
        own = merged<C>(own, {shared.largest[k][lane], shared.sum[k][lane]});
      potentials[j] = lowering(own.value());
    }
    __syncthreads();
  }
}

// For 0 iterations: the one potential that scales the sum of all assignments to the number of rows.
// One block. Limited by latency: reads 8 bytes a row twice. The order of addition is fixed.
template <class Number>
__global__ void __launch_bounds__(sum_threads)
    total_potential_kernel(const Number* log_sum_exps, index_t rows, index_t cols,
                           Number* potentials) {
  const int thread = static_cast<int>(threadIdx.x);
  const Number above = block_max(rows, [&](index_t i) { return log_sum_exps[i]; });
  const Number largest = above < -feaug::detail::largest_finite ? Number{0} : above;
  const Number sum =
      block_sum(rows, [&](index_t i) { return std::exp(log_sum_exps[i] - largest); });
  const Number shift =
      std::log(static_cast<Number>(rows)) + lowering(log_sum_exp{largest, sum}.value());
  for (index_t j = thread; j < cols; j += sum_threads) potentials[j] = shift;
}

/// The potentials after sinkhorn's iterations, as in cpu::sinkhorn_iterations.
template <element T>
void sinkhorn_iterations(operation& call, const stacked_scores<T>& scores, double epsilon,
                         index_t iterations, double* potentials) {
  const double scale = 1.0 / epsilon;
  const index_t cols = scores.cols();
  auto* const log_sum_exps = call.take<double>(scores.rows());
  const auto rows_summed = [&](const device_vector<const double>& with) {
    const dim3 block(warp_lanes, 8);
    call.launch(row_log_sum_exps_kernel<T>, grid_size(scores.rows(), block.y), block, 0, scores,
                scale, with, log_sum_exps);
  };
  for (index_t k = 0; k < iterations; ++k) {
    if (k > 0) rows_summed({potentials, cols});
    call.launch(column_potentials_kernel<T>, grid_size(cols, warp_lanes),
                dim3(warp_lanes, column_rows), 0, scores, scale, k > 0 ? log_sum_exps : nullptr,
                potentials);
  }
  if (iterations > 0) return;
  rows_summed({});
  call.launch(total_potential_kernel<double>, 1, sum_threads, 0, log_sum_exps, scores.rows(), cols,
              potentials);
}

// Writes the assignments. One warp per row; its lanes write only what they alone read, so `out` may
// be `scores`. Limited by memory bandwidth and exponentials: reads each score twice, writes one
// element, two exponentials per score. Registers: at most 64.
template <element T>
__global__ void __launch_bounds__(256)
    write_assignments_kernel(device_matrix<const T> scores, double scale,
                             device_vector<const double> potentials, bool rows_sum_to_one,
                             device_matrix<T> out) {
  const int lane = static_cast<int>(threadIdx.x);
  for (index_t i = static_cast<index_t>(blockIdx.x) * blockDim.y + threadIdx.y; i < scores.rows();
       i += static_cast<index_t>(gridDim.x) * blockDim.y) {
    const warp_softmax<T> row(scores.row(i), scale, potentials, scores.cols(), lane);
    const double factor = row.factor(rows_sum_to_one);
    for (index_t j = lane; j < scores.cols(); j += warp_lanes)
      out(i, j) = store<T>(static_cast<compute_t<T>>(row.weight(j) * factor));
  }
}

/// One call of sinkhorn or sinkhorn_potentials; the constructor checks the arguments. Scratch: 8
/// bytes a row and 8 a prototype.
template <element T>
class sinkhorn_call {
 public:
  sinkhorn_call(cuda_context& ctx, std::string_view op, const device_matrix<const T>& scores,
                const device_sinkhorn_options<T>& options)
      : call_(ctx, op), scores_(scores), options_(options) {
    check::sinkhorn_inputs(op, scores, options);
    on_device(op, "scores", scores);
    on_device(op, "extra_scores", options.extra_scores);
  }

  void write_assignments(const device_matrix<T>& out) {
    const device_vector<const double> potentials = iterate();
    const dim3 block(warp_lanes, 8);
    call_.launch(write_assignments_kernel<T>, grid_size(scores_.rows(), block.y), block, 0, scores_,
                 1.0 / options_.epsilon, potentials, options_.iterations > 0, out);
  }

  void write_potentials(const device_vector<double>& potentials) {
    copy_vector(call_, iterate(), potentials);
  }

 private:
  device_vector<const double> iterate() {
    auto* const potentials = call_.take<double>(scores_.cols());
    sinkhorn_iterations<T>(call_, {scores_, options_.extra_scores}, options_.epsilon,
                           options_.iterations, potentials);
    return {potentials, scores_.cols()};
  }

  operation call_;
  device_matrix<const T> scores_;
  device_sinkhorn_options<T> options_;
};

}  // namespace cuda

template <element T>
struct detail::sinkhorn_call<cuda_context, T> : cuda::sinkhorn_call<T> {
  using cuda::sinkhorn_call<T>::sinkhorn_call;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
