// CUDA implementation of the masks: set random or given features to zero.
#pragma once

#include "feaug/header_begin.hpp"

#include <cstdint>
#include <type_traits>

#include "feaug/augment/mask.hpp"
#include "feaug/core/draws.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/row_selection.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/augment/augmentation.cuh"
#include "feaug/cuda/augment/keep_threshold.cuh"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/core/vec4.cuh"
#include "feaug/cuda/core/warps.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cuda::inline FEAUG_CUBLAS_NAMESPACE {

// A rule gives a vec4's mask: keep(q, values) sets each value to 0 or 1.

struct bernoulli_rule {
  random_key key;
  float keep_probability;

  __device__ void keep(const vec4& q, float (&values)[4]) const {
    feaug::detail::draw_four<uniform_draw>(key.resolved(), q.row,
                                           static_cast<std::uint32_t>(q.first / 4), values);
    for (float& value : values) value = value < keep_probability ? 1.0F : 0.0F;
  }
};

struct fixed_count_rule {
  random_key key;
  const keep_threshold* thresholds;

  __device__ void keep(const vec4& q, float (&values)[4]) const {
    const random_block drawn =
        draw_block(key.resolved(), q.row, static_cast<std::uint32_t>(q.first / 4));
    for (int lane = 0; lane < 4; ++lane) {
      values[lane] = thresholds[q.row].keeps(drawn.words[lane], q.first + lane) ? 1.0F : 0.0F;
    }
  }
};

struct block_rule {
  random_key key;
  index_t block_length;
  index_t cols;

  __device__ void keep(const vec4& q, float (&values)[4]) const {
    const index_t start =
        feaug::detail::dropped_start(block_length, cols, draw_word(key.resolved(), q.row, 0));
    for (int lane = 0; lane < 4; ++lane) {
      const index_t j = q.first + lane;
      values[lane] = j >= start && j < start + block_length ? 0.0F : 1.0F;
    }
  }
};

template <element T>
struct given_rule {
  device_matrix<const T> given;

  __device__ void keep(const vec4& q, float (&values)[4]) const {
    compute_t<T> loaded[4];
    load_vec4(given.row(q.row), q, loaded);
    for (int lane = 0; lane < 4; ++lane) values[lane] = static_cast<float>(loaded[lane]);
  }
};

inline bernoulli_rule rule_of(operation& /*call*/, const mask& policy, const random_key& key,
                              index_t /*rows*/, index_t /*cols*/) {
  return {.key = key, .keep_probability = policy.keep_probability};
}
inline fixed_count_rule rule_of(operation& call, const fixed_count_mask& policy,
                                const random_key& key, index_t rows, index_t cols) {
  auto* thresholds = call.take<keep_threshold>(rows);
  find_keep_thresholds(call, policy.keep_count, key, rows, cols, thresholds);
  return {.key = key, .thresholds = thresholds};
}
inline block_rule rule_of(operation& /*call*/, const block_mask& policy, const random_key& key,
                          index_t /*rows*/, index_t cols) {
  return {.key = key, .block_length = policy.block_length, .cols = cols};
}
template <element T>
given_rule<T> rule_of(operation& /*call*/, const mask_from_policy<T, memory_space::device>& policy,
                      const random_key& /*key*/, index_t /*rows*/, index_t /*cols*/) {
  return {.given = policy.keep};
}

// factors[i] = cols / max(number of kept features, 1). One warp per row. Limited by drawing the
// random mask, or, with a given mask, by memory bandwidth; writes one element a row. Registers: at
// most 64.
template <class Rule, class C>
__global__ void __launch_bounds__(256)
    rescale_factors_kernel(Rule rule, index_t rows, index_t cols, C* factors) {
  for (index_t i = static_cast<index_t>(blockIdx.x) * blockDim.y + threadIdx.y; i < rows;
       i += static_cast<index_t>(gridDim.x) * blockDim.y) {
    C kept = 0;
    for (index_t first = threadIdx.x * vec4_columns; first < cols;
         first += warp_lanes * vec4_columns) {
      const index_t left = cols - first;
      const int count = left < vec4_columns ? static_cast<int>(left) : 4;
      float values[4];
      rule.keep(vec4{i, first, count}, values);
      for (int lane = 0; lane < count; ++lane) kept += static_cast<C>(values[lane]);
    }
    kept = warp_sum(kept);
    if (threadIdx.x == 0) factors[i] = static_cast<C>(cols) / (kept > C{1} ? kept : C{1});
  }
}

/// Factors of the kept features, one per row; null: 1.
template <class Rule, class C>
C* rescale_factors(operation& call, rescale how, const Rule& rule, index_t rows, index_t cols) {
  if (how == rescale::none) return nullptr;
  C* const factors = call.take<C>(rows);
  const dim3 block(warp_lanes, 8);
  call.launch(rescale_factors_kernel<Rule, C>, grid_size(rows, block.y), block, 0, rule, rows, cols,
              factors);
  return factors;
}

/// to = from ⊙ keep · factor, into a matrix, or into an operand's gradient (overwritten or
/// accumulated).
template <class Rule, element T, class Destination>
struct apply_mask {
  Rule rule;
  const compute_t<T>* factors;
  device_matrix<const T> from;
  Destination to;

  __device__ void operator()(const vec4& q) const {
    using C = compute_t<T>;
    float kept[4];
    rule.keep(q, kept);
    C values[4];
    load_vec4(from.row(q.row), q, values);
    const C factor = factors == nullptr ? C{1} : factors[q.row];
    for (int lane = 0; lane < 4; ++lane) values[lane] *= static_cast<C>(kept[lane]) * factor;
    if constexpr (std::is_same_v<Destination, device_matrix<T>>) {
      store_vec4(to.row(q.row), q, values);
    } else {
      put_vec4(to, q, values);
    }
  }
};

template <class Rule, element T>
struct write_keep {
  Rule rule;
  device_matrix<T> to;

  __device__ void operator()(const vec4& q) const {
    float kept[4];
    rule.keep(q, kept);
    compute_t<T> values[4];
    for (int lane = 0; lane < 4; ++lane) values[lane] = static_cast<compute_t<T>>(kept[lane]);
    store_vec4(to.row(q.row), q, values);
  }
};

/// Forward and backward pass of all masks. The gradient is masked with the same mask.
template <class P>
struct mask_on_device : augmentation_traits<P> {
  using augmentation_traits<P>::name;

  template <element T>
  static void forward(cuda_context& ctx, const P& policy, device_matrix<const T> x,
                      const random_key& key, const row_selection& selection, device_matrix<T> out) {
    run<T>(ctx, policy, key, selection, x, out);
  }

  template <element T>
  static void backward(cuda_context& ctx, const P& policy,
                       const operand<T, 2, memory_space::device>& x, const random_key& key,
                       const row_selection& selection, device_matrix<const T> grad_out) {
    run<T>(ctx, policy, key, selection, grad_out, x);
  }

 private:
  template <element T, class Destination>
  static void run(cuda_context& ctx, const P& policy, const random_key& key,
                  const row_selection& selection, const device_matrix<const T>& from,
                  const Destination& to) {
    operation call(ctx, name);
    const auto rule = rule_of(call, policy, key, from.rows(), from.cols());
    using rule_type = std::remove_const_t<decltype(rule)>;
    const auto* factors = rescale_factors<rule_type, compute_t<T>>(call, policy.rescale, rule,
                                                                   from.rows(), from.cols());
    for_each_vec4(call, from.rows(), from.cols(), selection,
                  apply_mask<rule_type, T, Destination>{rule, factors, from, to});
  }
};

}  // namespace cuda

template <>
struct augmentation_on<cuda_context, mask> : cuda::mask_on_device<mask> {};
template <>
struct augmentation_on<cuda_context, fixed_count_mask> : cuda::mask_on_device<fixed_count_mask> {};
template <>
struct augmentation_on<cuda_context, block_mask> : cuda::mask_on_device<block_mask> {};
template <element U>
struct augmentation_on<cuda_context, mask_from_policy<U, memory_space::device>>
    : cuda::mask_on_device<mask_from_policy<U, memory_space::device>> {};

template <>
struct detail::mask_on<cuda_context> {
  template <element T, class P>
  static void draw(cuda_context& ctx, const P& policy, const random_key& key,
                   const device_matrix<T>& keep) {
    cuda::operation call(ctx, "draw");
    const auto rule = cuda::rule_of(call, policy, key, keep.rows(), keep.cols());
    using rule_type = std::remove_const_t<decltype(rule)>;
    cuda::for_each_vec4(call, keep.rows(), keep.cols(), {},
                        cuda::write_keep<rule_type, T>{rule, keep});
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
