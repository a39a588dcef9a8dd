// CUDA implementation of symmetric_info_nce and nt_xent: two views of N rows, and a softmax per row
// of each view.
#pragma once

#include "feaug/header_begin.hpp"

#include <cmath>
#include <string_view>

#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/pointers.cuh"
#include "feaug/cuda/core/vectors.cuh"
#include "feaug/cuda/core/warps.cuh"
#include "feaug/cuda/loss/contrast.cuh"
#include "feaug/cuda/loss/row_losses.cuh"
#include "feaug/loss/two_view_contrast.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cuda::inline FEAUG_CUBLAS_NAMESPACE {

// logits[i] = cos(a_i, b_i) / σ. One warp per pair. Limited by memory bandwidth: reads 2·cols
// elements. Registers: at most 64.
template <element T>
__global__ void __launch_bounds__(256)
    pair_logits_kernel(concatenated_rows<T> both, index_t pairs, index_t cols, double sigma,
                       double* logits) {
  const int lane = static_cast<int>(threadIdx.x);
  for (index_t i = static_cast<index_t>(blockIdx.x) * blockDim.y + threadIdx.y; i < pairs;
       i += static_cast<index_t>(gridDim.x) * blockDim.y) {
    const double cosine = warp_dot(both, i, both, pairs + i, cols, lane);
    if (lane == 0) logits[i] = cosine / sigma;
  }
}

// Replaces the pairs' logits by their weights, written for both rows of a pair. One block. Limited
// by latency: reads 8 bytes a pair three times, two exponentials each.
template <class Number>
__global__ void __launch_bounds__(sum_threads)
    positive_weights_kernel(index_t pairs, Number* weights) {
  const int thread = static_cast<int>(threadIdx.x);
  const Number largest = block_max(pairs, [&](index_t i) { return weights[i]; });
  const Number sum = block_sum(pairs, [&](index_t i) { return std::exp(weights[i] - largest); });
  for (index_t i = thread; i < pairs; i += sum_threads) {
    const Number weight =
        feaug::detail::positive_weight(pairs, std::exp(weights[i] - largest), sum);
    weights[i] = weight;
    weights[pairs + i] = weight;
  }
}

/// DCLW's weights of the positives, as on the CPU.
template <element T>
void weigh_positives(const operation& call, const concatenated_rows<T>& both, index_t pairs,
                     index_t cols, double sigma, double* weights) {
  const dim3 block(warp_lanes, 8);
  call.launch(pair_logits_kernel<T>, grid_size(pairs, block.y), block, 0, both, pairs, cols, sigma,
              weights);
  call.launch(positive_weights_kernel<double>, 1, sum_threads, 0, pairs, weights);
}

/// One call of the loss; the constructor checks the arguments. The rows of side s are 0 … N − 1; in
/// every array of 2N, side s begins at s·N. Scratch: packed copies of both views, and that of
/// softmax_pass.
template <element T>
class two_view_call {
 public:
  using C = compute_t<T>;
  using problem_type = feaug::detail::two_view_problem<T, memory_space::device>;

  two_view_call(cuda_context& ctx, std::string_view op, const problem_type& problem)
      : call_(ctx, op), problem_(problem) {
    problem_.validate(op);
    rows_ = problem.rows();
    for (int side = 0; side < 2; ++side) on_device(op, problem.names[side], problem.views[side]);
    on_device(op, "learnable_temperature", problem.learnable_temperature);
    on_device(op, problem_.reduction);
  }

  [[nodiscard]] index_t outputs() const { return problem_.reduction.outputs(); }
  [[nodiscard]] index_t statistics_size() const { return 2 * rows_; }

  void forward(const device_vector<C>& loss, const device_vector<C>& statistics) {
    prepare();
    row_losses(false);
    copy_vector(call_, device_vector<const double>(results_.log_sum_exp, 2 * rows_), statistics);
    write(loss);
  }
  void forward_and_backward(const device_vector<C>& loss) {
    prepare();
    row_losses(true);
    view_gradients();
    write(loss);
  }
  void backward(const device_vector<const C>& statistics) {
    prepare();
    restore(statistics);
    view_gradients();
  }

 private:
  void prepare() {
    both_ = concatenate_rows<T>(call_, problem_.normalize, problem_.views[0].value,
                                problem_.views[1].value);
    results_ = take_row_results(call_, 2 * rows_, by_temperature());
    if (problem_.positive_weighting != 0) {
      auto* const weights = call_.take<double>(2 * rows_);
      weigh_positives(call_, both_, rows_, problem_.cols(), problem_.positive_weighting, weights);
      results_.positive_weight = weights;
    }
  }

  void row_losses(bool gradients) {
    for (int side = 0; side < 2; ++side) {
      softmax(side, gradients);
      side_losses(side);
    }
    if (gradients) write_temperature_gradient();
  }

  void restore(const device_vector<const C>& statistics) {
    for (int side = 0; side < 2 && by_temperature(); ++side) softmax(side, true);
    copy_vector(call_, statistics, device_vector<double>(results_.log_sum_exp, 2 * rows_));
    for (int side = 0; side < 2; ++side) side_losses(side);
    write_temperature_gradient();
  }

  void view_gradients() {
    for (int side = 0; side < 2; ++side) {
      const auto& view = problem_.views[side];
      if (!view.wants_gradient()) continue;
      const index_t columns_at = problem_.over_both() ? 0 : (1 - side) * rows_;
      gradient_pass(call_.context(), call_.name(), contrast_of(side),
                    results_.from(side * rows_).weights(), results_.from(columns_at).weights(),
                    view);
    }
  }

  void write(const device_vector<C>& loss) const {
    const double* second = problem_.over_both() ? nullptr : results_.row_loss + rows_;
    write_loss(call_, problem_.reduction, {results_.row_loss, second}, loss);
  }

  [[nodiscard]] bool by_temperature() const {
    return problem_.learnable_temperature.wants_gradient();
  }
  [[nodiscard]] temperature<C> tau() const {
    return temperature_of(problem_.temperature, problem_.learnable_temperature);
  }
  [[nodiscard]] concatenated_rows<T> view_rows(int side) const {
    return side == 0 ? both_.only_first() : both_.only_second();
  }

  [[nodiscard]] contrast_problem<T> contrast_of(int side) const {
    const bool over_both = problem_.over_both();
    const concatenated_rows<T> columns = over_both ? both_ : view_rows(1 - side);
    return {.rows = view_rows(side),
            .columns = columns,
            .positives = columns,
            .pairs = {.shift = over_both ? (1 - side) * rows_ : 0,
                      .partners = columns.rows(),
                      .self = over_both,
                      .self_shift = side * rows_},
            .positives_are_columns = true,
            .cols = problem_.cols(),
            .temperature = tau()};
  }

  void softmax(int side, bool gradients) {
    const row_results results = results_.from(side * rows_);
    softmax_pass(call_.context(), call_.name(), contrast_of(side),
                 {.log_sum_exp = results.log_sum_exp,
                  .mean_cosine = gradients ? results.mean_cosine : nullptr});
  }

  void side_losses(int side) {
    const bool over_both = problem_.over_both();
    cuda::row_losses<T>(call_,
                        {.logits = contrast_of(side),
                         .reduction = problem_.reduction,
                         .first_weight = over_both ? side * rows_ : 0,
                         .weight_factor = over_both ? 1.0 : 0.5,
                         .decoupled = problem_.decoupled},
                        results_.from(side * rows_));
  }

  void write_temperature_gradient() const {
    cuda::write_temperature_gradient(call_, results_.scale_term, 2 * rows_, tau(),
                                     problem_.learnable_temperature);
  }

  operation call_;
  problem_type problem_;
  index_t rows_ = 0;
  concatenated_rows<T> both_;  // view 0, then view 1
  row_results results_;
};

}  // namespace cuda

template <element T>
struct detail::two_view_call<cuda_context, T> : cuda::two_view_call<T> {
  using cuda::two_view_call<T>::two_view_call;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
