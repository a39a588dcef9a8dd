// From softmax sums to row losses and coefficients of the gradients, and from row losses to the
// reduced loss and the gradients of scalars.
#pragma once

#include "feaug/header_begin.hpp"

#include <cmath>
#include <string_view>

#include "feaug/core/operand.hpp"
#include "feaug/core/reduce.hpp"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/core/pointers.cuh"
#include "feaug/cuda/core/warps.cuh"
#include "feaug/cuda/loss/concatenated_rows.cuh"
#include "feaug/cuda/loss/contrast.cuh"
#include "feaug/cuda/loss/temperature.cuh"
#include "feaug/loss/row_reduction.hpp"
#include "feaug/loss/softmax_weights.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda::inline FEAUG_CUBLAS_NAMESPACE {

template <class C>
using row_reduction = feaug::detail::row_reduction<C, memory_space::device>;

/// Checks the pointers of a reduction's arrays.
template <class C>
void on_device(std::string_view op, const row_reduction<C>& reduction) {
  on_device(op, "row_weights", reduction.weights);
  on_device(op, "cotangent", reduction.cotangent);
}

/// Results for every row of a loss, arrays in device memory.
struct row_results {
  double* log_sum_exp = nullptr;  ///< from softmax_pass, or the operator's statistics output
  double* mean_cosine = nullptr;  ///< null: no gradient with respect to the temperature
  double* coefficient = nullptr;  ///< ∂L/∂(log_sum_exp − s_positive)
  double* row_loss = nullptr;
  double* scale_term = nullptr;             ///< ∂L/∂(1/τ)
  const double* positive_weight = nullptr;  ///< factor of the positive's logit; null: 1

  /// The arrays from this row on.
  [[nodiscard]] row_results from(index_t row) const {
    return {.log_sum_exp = log_sum_exp + row,
            .mean_cosine = mean_cosine == nullptr ? nullptr : mean_cosine + row,
            .coefficient = coefficient + row,
            .row_loss = row_loss + row,
            .scale_term = scale_term + row,
            .positive_weight = positive_weight == nullptr ? nullptr : positive_weight + row};
  }
  [[nodiscard]] softmax_weights weights() const {
    return {
        .coefficient = coefficient, .log_sum_exp = log_sum_exp, .positive_weight = positive_weight};
  }
};

/// Allocates the arrays. mean_cosine and scale_term start as 0.
inline row_results take_row_results(operation& call, index_t rows, bool by_temperature) {
  return {.log_sum_exp = call.take<double>(rows),
          .mean_cosine = by_temperature ? call.take_zeros<double>(rows) : nullptr,
          .coefficient = call.take<double>(rows),
          .row_loss = call.take<double>(rows),
          .scale_term = call.take_zeros<double>(rows)};
}

/// Arguments of row_losses_kernel.
template <element T>
struct row_loss_problem {
  using C = compute_t<T>;
  contrast_problem<T> logits;
  row_reduction<C> reduction;
  index_t first_weight = 0;  ///< row i's weight is that of loss i + first_weight …
  double weight_factor = 1;  ///< … times this
  bool decoupled = false;    ///< DCL: the positive is not in the denominator
};

// Row losses, coefficients and the terms of the temperature's gradient. One warp per row. Limited
// by memory bandwidth: reads 2·cols elements a row and writes 16 or 24 bytes. Registers: at most
// 64.
template <element T>
__global__ void __launch_bounds__(256)
    row_losses_kernel(row_loss_problem<T> problem, row_results results) {
  const int lane = static_cast<int>(threadIdx.x);
  const contrast_problem<T>& logits = problem.logits;
  const double temperature = logits.temperature.value();
  for (index_t i = static_cast<index_t>(blockIdx.x) * blockDim.y + threadIdx.y;
       i < logits.rows.rows(); i += static_cast<index_t>(gridDim.x) * blockDim.y) {
    double cosine =
        warp_dot(logits.rows, i, logits.positives, logits.pairs.positive(i), logits.cols, lane);
    if (lane != 0) continue;
    if (results.positive_weight != nullptr) cosine *= results.positive_weight[i];
    const double weight =
        problem.weight_factor * problem.reduction.gradient_weight(i + problem.first_weight);
    const feaug::detail::margin_terms terms(results.log_sum_exp[i], cosine, temperature, weight,
                                            problem.decoupled);
    results.row_loss[i] = terms.loss;
    results.coefficient[i] = terms.coefficient;
    if (results.mean_cosine != nullptr)
      results.scale_term[i] =
          feaug::detail::by_inverse_temperature(terms.coefficient, results.mean_cosine[i], cosine);
  }
}

template <element T>
void row_losses(const operation& call, const row_loss_problem<T>& problem,
                const row_results& results) {
  const dim3 block(warp_lanes, 8);
  call.launch(row_losses_kernel<T>, grid_size(problem.logits.rows.rows(), block.y), block, 0,
              problem, results);
}

inline constexpr int sum_threads = 1024;

/// Σ term(i) for i < count, by a single block of sum_threads threads. Every thread gets the sum.
/// The order of addition is fixed.
template <class Term>
__device__ double block_sum(index_t count, const Term& term) {
  struct shared_type {
    double sum[sum_threads / warp_lanes];
  };
  FEAUG_SHARED(shared_type, shared);
  const int thread = static_cast<int>(threadIdx.x);
  double sum = 0;
  for (index_t i = thread; i < count; i += sum_threads) sum += term(i);
  sum = warp_sum(sum);
  if (thread % warp_lanes == 0) shared.sum[thread / warp_lanes] = sum;
  __syncthreads();
  return warp_sum(shared.sum[thread % warp_lanes]);
}

/// The largest term(i) for i < count, by a single block of sum_threads threads, in every thread.
/// NaN is ignored; the result is −∞ if there is no number.
template <class Term>
__device__ double block_max(index_t count, const Term& term) {
  struct shared_type {
    double largest[sum_threads / warp_lanes];
  };
  FEAUG_SHARED(shared_type, shared);
  const int thread = static_cast<int>(threadIdx.x);
  double largest = -static_cast<double>(INFINITY);
  for (index_t i = thread; i < count; i += sum_threads) {
    const double x = term(i);
    largest = x > largest ? x : largest;
  }
  largest = warp_max(largest);
  if (thread % warp_lanes == 0) shared.largest[thread / warp_lanes] = largest;
  __syncthreads();
  return warp_max(shared.largest[thread % warp_lanes]);
}

/// A row's loss: one term, or the mean of two.
struct row_loss_pair {
  const double* first;
  const double* second;  ///< null: only one term

  [[nodiscard]] __device__ double at(index_t i) const {
    return second == nullptr ? first[i] : 0.5 * (first[i] + second[i]);
  }
};

// loss[0] = the weighted sum of the row losses. One block. Limited by latency: reads 8 or 16 bytes
// a row.
template <class C>
__global__ void __launch_bounds__(sum_threads)
    reduce_losses_kernel(row_reduction<C> reduction, row_loss_pair losses, device_vector<C> loss) {
  const double sum =
      block_sum(reduction.rows, [&](index_t i) { return reduction.loss_weight(i) * losses.at(i); });
  if (threadIdx.x == 0) loss[0] = static_cast<C>(sum);
}

// loss[i] = row i's weighted loss. One thread per row. Limited by memory bandwidth: reads 8 or 16
// bytes a row and writes one element.
template <class C>
__global__ void __launch_bounds__(256)
    weigh_losses_kernel(row_reduction<C> reduction, row_loss_pair losses, device_vector<C> loss) {
  for (index_t i = static_cast<index_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < reduction.rows;
       i += static_cast<index_t>(gridDim.x) * blockDim.x) {
    loss[i] = static_cast<C>(reduction.loss_weight(i) * losses.at(i));
  }
}

/// Writes the loss: the reduced sum, or one loss per row.
template <class C>
void write_loss(const operation& call, const row_reduction<C>& reduction,
                const row_loss_pair& losses, const device_vector<C>& loss) {
  if (reduction.reduction == reduce::none) {
    call.launch(weigh_losses_kernel<C>, grid_size(reduction.rows, 256), 256, 0, reduction, losses,
                loss);
  } else {
    call.launch(reduce_losses_kernel<C>, 1, sum_threads, 0, reduction, losses, loss);
  }
}

/// Converts ∂L/∂(1/τ) to ∂L/∂τ.
template <class C>
struct by_temperature {
  temperature<C> tau;

  [[nodiscard]] __device__ double operator()(double sum) const {
    return feaug::detail::by_temperature(sum, tau.value());
  }
};

/// Identity: the gradient is the sum itself.
struct by_the_number_itself {
  [[nodiscard]] __device__ double operator()(double sum) const { return sum; }
};

// The gradient of a scalar, from(Σ terms). One block. Limited by latency: reads 8 bytes a row.
template <class C, class From>
__global__ void __launch_bounds__(sum_threads)
    scalar_gradient_kernel(const double* terms, index_t rows, From from,
                           operand<C, 1, memory_space::device> destination) {
  const double sum = block_sum(rows, [&](index_t i) { return terms[i]; });
  if (threadIdx.x != 0) return;
  const double gradient = from(sum);
  C& to = destination.gradient[0];
  to = static_cast<C>(
      destination.mode == gradient_mode::overwrite ? gradient : static_cast<double>(to) + gradient);
}

/// Writes from(Σ terms) as the scalar's gradient, if wanted.
template <class C, class From>
void write_scalar_gradient(const operation& call, const double* terms, index_t rows,
                           const From& from,
                           const operand<C, 1, memory_space::device>& destination) {
  if (!destination.wants_gradient()) return;
  call.launch(scalar_gradient_kernel<C, From>, 1, sum_threads, 0, terms, rows, from, destination);
}

template <class C>
void write_temperature_gradient(const operation& call, const double* scale_terms, index_t rows,
                                const temperature<C>& tau,
                                const operand<C, 1, memory_space::device>& destination) {
  write_scalar_gradient(call, scale_terms, rows, by_temperature<C>{tau}, destination);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda

#include "feaug/header_end.hpp"
