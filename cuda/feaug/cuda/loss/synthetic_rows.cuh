// Synthetic negatives in a softmax. Each element of a synthetic row is computed in registers when
// it is needed, from the draws and the rows that it mixes; no synthetic row is stored.
#pragma once

#include "feaug/header_begin.hpp"

#include <cmath>

#include "feaug/core/element.hpp"
#include "feaug/core/finite.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/core/warps.cuh"
#include "feaug/cuda/loss/concatenated_rows.cuh"
#include "feaug/cuda/loss/row_losses.cuh"
#include "feaug/cuda/loss/temperature.cuh"
#include "feaug/loss/hard_negative_info_nce.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

template <element T>
using device_synthetic_negatives = synthetic_negatives<T, memory_space::device>;

namespace cuda::inline FEAUG_CUBLAS_NAMESPACE {

/// Queries, and the inputs of their synthetic negatives.
template <element T>
struct synthesis_problem {
  concatenated_rows<T> queries;
  concatenated_rows<T> negatives;
  device_synthetic_negatives<T> how;
  const index_t* slots;  ///< the hardest negatives of every query, N × how.hardest
  index_t cols;
  cuda::temperature<compute_t<T>> temperature;

  [[nodiscard]] FEAUG_HD index_t rows() const { return queries.rows(); }
};

/// Results per synthetic negative, N × S. One that cannot be made has cosine −∞.
struct synthetic_product {
  double cosine;   ///< ⟨q, h⟩
  double inverse;  ///< normalises h after its parts have been added
};

namespace detail {

/// A recipe with its ranks replaced by slots. Kept in shared memory, so it has no initialisers.
struct synthetic_parts {
  index_t first;
  index_t second;
  index_t noise;
  double of_query;
  double of_first;
  double of_second;
  double of_signs;
  double of_noise;
};

/// The parts of a negative that can be made, each coefficient multiplied by `factor`.
__device__ inline synthetic_parts parts_of(const feaug::detail::synthetic_recipe& recipe,
                                           const index_t* slots, double factor) {
  return {.first = slots[recipe.first],
          .second = recipe.of_second == 0 ? -1 : slots[recipe.second],
          .noise = recipe.noise,
          .of_query = factor * recipe.of_query,
          .of_first = factor * recipe.of_first,
          .of_second = factor * recipe.of_second,
          .of_signs = factor * recipe.of_signs,
          .of_noise = factor * recipe.of_noise};
}

/// Element j of a synthetic row; `query` is the query's element j.
template <element T>
__device__ double element_of(const synthesis_problem<T>& problem, const synthetic_parts& parts,
                             const random_key& noise_key, double query, index_t j) {
  double sum = parts.of_query * query + parts.of_first * problem.negatives.element(parts.first, j);
  if (parts.second >= 0) sum += parts.of_second * problem.negatives.element(parts.second, j);
  if (parts.of_signs != 0) sum += parts.of_signs * feaug::detail::sign_of(query);
  if (parts.noise >= 0) {
    sum += parts.of_noise * feaug::detail::noise_element(problem.how, noise_key, parts.noise, j);
  }
  return sum;
}

}  // namespace detail

// Cosine and inverse norm of each synthetic negative. One warp per synthetic negative. Limited by
// memory bandwidth: reads 2·cols or 3·cols elements, mostly from the L2 cache; noisy ones by random
// number generation. (Without a minimum of 2 blocks, ptxas would use fewer registers on sm_80, and
// spill.) Registers: at most 96.
template <element T>
__global__ void __launch_bounds__(256, 2)
    synthetic_products_kernel(synthesis_problem<T> problem, synthetic_product* products) {
  const int lane = static_cast<int>(threadIdx.x);
  const index_t each = problem.how.counts.total();
  const random_key key = problem.how.key.resolved();
  const random_key noise_key = feaug::detail::noise_key(key, problem.how.counts.noisy);
  for (index_t at = static_cast<index_t>(blockIdx.x) * blockDim.y + threadIdx.y;
       at < problem.rows() * each; at += static_cast<index_t>(gridDim.x) * blockDim.y) {
    const index_t i = at / each;
    const index_t* const slots = problem.slots + i * problem.how.hardest;
    const auto recipe = feaug::detail::recipe_of(problem.how, key, i, at % each);
    if (!recipe.can_be_made(slots, problem.how.hardest)) {
      if (lane == 0) products[at] = {.cosine = -static_cast<double>(INFINITY), .inverse = 0};
      continue;
    }
    const detail::synthetic_parts parts = detail::parts_of(recipe, slots, 1);
    double square = 0;
    double product = 0;
    for (index_t j = lane; j < problem.cols; j += warp_lanes) {
      const double query = problem.queries.element(i, j);
      const double made = detail::element_of(problem, parts, noise_key, query, j);
      square += made * made;
      product += query * made;
    }
    square = warp_sum(square);
    product = warp_sum(product);
    const double inverse = feaug::detail::inverse_of_synthetic(square);
    if (lane == 0) products[at] = {.cosine = product * inverse, .inverse = inverse};
  }
}

/// Adds the synthetic negatives to the softmax of every query.
struct synthetic_join {
  const synthetic_product* products;
  index_t each;         ///< S
  row_results results;  ///< log_sum_exp and mean_cosine are replaced by those of the joint softmax
  double* found_share;  ///< factor of the weights that were computed without them
};

// Joint log_sum_exp and mean_cosine of each row, and found_share. One warp per row. Limited by memory
// bandwidth and exponentials: reads 16 bytes per synthetic negative twice, one exponential in
// double each. Registers: at most 64.
template <class C>
__global__ void __launch_bounds__(256)
    join_synthetic_kernel(synthetic_join join, index_t rows, cuda::temperature<C> temperature,
                          device_vector<const C> statistics) {
  const int lane = static_cast<int>(threadIdx.x);
  const double tau = temperature.value();
  for (index_t i = static_cast<index_t>(blockIdx.x) * blockDim.y + threadIdx.y; i < rows;
       i += static_cast<index_t>(gridDim.x) * blockDim.y) {
    const synthetic_product* const mine = join.products + i * join.each;
    double largest = -static_cast<double>(INFINITY);
    for (index_t s = lane; s < join.each; s += warp_lanes)
      largest = mine[s].cosine > largest ? mine[s].cosine : largest;
    largest = warp_max(largest);
    // If there is none, or one is NaN, any finite shift gives the correct 0 or NaN.
    const double shift = feaug::detail::is_finite(largest) ? largest : 0.0;
    double sum = 0;
    double cosine_sum = 0;
    for (index_t s = lane; s < join.each; s += warp_lanes) {
      const double weight = std::exp((mine[s].cosine - shift) / tau);
      sum += weight;
      if (weight != 0) cosine_sum += weight * mine[s].cosine;
    }
    sum = warp_sum(sum);
    cosine_sum = warp_sum(cosine_sum);
    if (lane != 0) continue;
    const double made = sum == 0 ? -static_cast<double>(INFINITY) : shift / tau + std::log(sum);
    const double found = join.results.log_sum_exp[i];
    const double both = statistics.empty() ? feaug::detail::log_of_both(found, made)
                                           : static_cast<double>(statistics[i]);
    const double found_share = std::exp(found - both);
    join.found_share[i] = found_share;
    join.results.log_sum_exp[i] = both;
    if (join.results.mean_cosine != nullptr) {
      const double made_cosine = sum == 0 ? 0.0 : std::exp(made - both) * (cosine_sum / sum);
      join.results.mean_cosine[i] = found_share * join.results.mean_cosine[i] + made_cosine;
    }
  }
}

inline constexpr int synthetic_threads = 128;

// mean = found_share · mean + Σ weight · synthetic row. One block per row: its threads look up 128
// recipes at a time, then each thread adds them up for its own columns. Limited by memory
// bandwidth: for each synthetic negative reads cols or 2·cols elements, mostly from the L2 cache;
// noisy ones by random number generation. Shared memory: 8.1 KiB. (Without a minimum of 5 blocks,
// ptxas would use fewer registers on sm_80, and spill.) Registers: at most 96.
template <element T>
__global__ void __launch_bounds__(synthetic_threads, 5)
    add_synthetic_kernel(synthesis_problem<T> problem, synthetic_join join, compute_t<T>* means) {
  struct shared_type {
    detail::synthetic_parts parts[synthetic_threads];
    bool is_made[synthetic_threads];
  };
  FEAUG_SHARED(shared_type, shared);
  const int thread = static_cast<int>(threadIdx.x);
  const double tau = problem.temperature.value();
  const random_key key = problem.how.key.resolved();
  const random_key noise_key = feaug::detail::noise_key(key, problem.how.counts.noisy);
  for (index_t i = blockIdx.x; i < problem.rows(); i += gridDim.x) {
    const index_t* const slots = problem.slots + i * problem.how.hardest;
    compute_t<T>* const mean = means + i * problem.cols;
    for (index_t first = 0; first < join.each; first += synthetic_threads) {
      __syncthreads();  // all threads have read the previous parts
      const index_t s = first + thread;
      if (s < join.each) {
        const auto recipe = feaug::detail::recipe_of(problem.how, key, i, s);
        const synthetic_product product = join.products[i * join.each + s];
        shared.is_made[thread] = recipe.can_be_made(slots, problem.how.hardest);
        if (shared.is_made[thread]) {
          const double weight = std::exp(product.cosine / tau - join.results.log_sum_exp[i]);
          shared.parts[thread] = detail::parts_of(recipe, slots, weight * product.inverse);
        }
      }
      __syncthreads();
      const index_t left = join.each - first;
      const int count = left < synthetic_threads ? static_cast<int>(left) : synthetic_threads;
      for (index_t j = thread; j < problem.cols; j += synthetic_threads) {
        const double query = problem.queries.element(i, j);
        double sum = static_cast<double>(mean[j]) * (first == 0 ? join.found_share[i] : 1.0);
        for (int at = 0; at < count; ++at) {
          if (shared.is_made[at])
            sum += detail::element_of(problem, shared.parts[at], noise_key, query, j);
        }
        mean[j] = static_cast<compute_t<T>>(sum);
      }
    }
  }
}

/// Adds every query's synthetic negatives to `results` and to `mean` (N × cols, null: not wanted),
/// which hold those of the softmax without them. If given, `statistics` replace the log-sums.
/// Scratch: 16 bytes a synthetic negative, 8 a row.
template <element T>
void join_synthetic(operation& call, const synthesis_problem<T>& problem,
                    const row_results& results, compute_t<T>* mean,
                    const device_vector<const compute_t<T>>& statistics) {
  using C = compute_t<T>;
  const index_t rows = problem.rows();
  const index_t each = problem.how.counts.total();
  auto* const products = call.take<synthetic_product>(rows * each);
  const synthetic_join join = {.products = products,
                               .each = each,
                               .results = results,
                               .found_share = call.take<double>(rows)};
  const dim3 warps(warp_lanes, 8);
  call.launch(synthetic_products_kernel<T>, grid_size(rows * each, warps.y), warps, 0, problem,
              products);
  call.launch(join_synthetic_kernel<C>, grid_size(rows, warps.y), warps, 0, join, rows,
              problem.temperature, statistics);
  if (mean != nullptr) {
    call.launch(add_synthetic_kernel<T>, grid_size(rows, 1), synthetic_threads, 0, problem, join,
                mean);
  }
}

// Writes the draws of every synthetic negative. One thread per synthetic negative. Limited by
// random number generation.
template <element T>
__global__ void __launch_bounds__(256)
    draw_synthesis_kernel(device_synthetic_negatives<T> how,
                          feaug::detail::synthesis_outputs<T, memory_space::device> outputs) {
  const random_key key = how.key.resolved();
  const index_t each = how.counts.total();
  for (index_t at = static_cast<index_t>(blockIdx.x) * blockDim.x + threadIdx.x;
       at < outputs.first.rows() * each; at += static_cast<index_t>(gridDim.x) * blockDim.x) {
    outputs.write(how, key, at / each, at % each);
  }
}

}  // namespace cuda
}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
