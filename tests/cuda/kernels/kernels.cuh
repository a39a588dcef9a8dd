// Every operator for every element type, to be compiled by nvcc and never run. scripts/check_ptxas
// reads the register use of the kernels from the log.
#pragma once

#include <string_view>
#include <variant>

#include "feaug/feaug.cuh"

namespace kernels {

/// Views of one element type, as arguments of any operator.
template <class T>
struct views {
  feaug::device_matrix<const T> input = {};
  feaug::device_matrix<T> output = {};
  feaug::device_vector<feaug::compute_t<T>> loss = {};
  feaug::device_vector<const feaug::compute_t<T>> numbers = {};
  feaug::device_support_queue<T> queue = {};
  feaug::device_synthetic_negatives<T> synthesis = {};

  [[nodiscard]] auto differentiable() const { return feaug::differentiable(input, output); }
};

template <class Act>
void for_each_type(feaug::cuda_context& ctx, const Act& act) {
  act(ctx, views<float>{});
  act(ctx, views<double>{});
  act(ctx, views<feaug::half>{});
  act(ctx, views<feaug::bfloat16>{});
}

void compile_augmentations(feaug::cuda_context& ctx);
void compile_queue(feaug::cuda_context& ctx);
void compile_losses(feaug::cuda_context& ctx);
void compile_step(feaug::cuda_context& ctx);
void compile_diagnostics(feaug::cuda_context& ctx);

}  // namespace kernels
