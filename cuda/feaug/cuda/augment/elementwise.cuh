// CUDA implementation of all element-wise augmentations, built-in or user-defined, by
// for_each_vec4.
#pragma once

#include "feaug/header_begin.hpp"

#include <type_traits>

#include "feaug/augment/elementwise.hpp"
#include "feaug/cuda/augment/augmentation.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cuda::inline FEAUG_CUBLAS_NAMESPACE {

/// Calls act(lane, draw) for the four columns of a vec4.
template <class Draw, class Act>
__device__ void draw_vec4(const random_key& key, const vec4& q, const Act& act) {
  if constexpr (std::is_same_v<Draw, no_draw>) {
    for (int lane = 0; lane < 4; ++lane) act(lane, no_draw{});
  } else {
    float values[4];
    feaug::detail::draw_four<Draw>(key.resolved(), q.row, static_cast<std::uint32_t>(q.first / 4),
                                   values);
    for (int lane = 0; lane < 4; ++lane) act(lane, Draw{values[lane]});
  }
}

template <class P, element T>
struct elementwise_forward {
  P policy;
  device_matrix<const T> x;
  random_key key;
  device_matrix<T> out;

  __device__ void operator()(const vec4& q) const {
    compute_t<T> values[4];
    load_vec4(x.row(q.row), q, values);
    draw_vec4<typename P::draw>(key, q, [&](int lane, typename P::draw d) {
      values[lane] = policy.forward(values[lane], d);
    });
    store_vec4(out.row(q.row), q, values);
  }
};

template <class P, element T>
struct elementwise_backward {
  P policy;
  operand<T, 2, memory_space::device> x;
  random_key key;
  device_matrix<const T> grad_out;

  __device__ void operator()(const vec4& q) const {
    compute_t<T> values[4];
    compute_t<T> gradients[4];
    load_vec4(x.value.row(q.row), q, values);
    load_vec4(grad_out.row(q.row), q, gradients);
    draw_vec4<typename P::draw>(key, q, [&](int lane, typename P::draw d) {
      gradients[lane] = policy.backward(gradients[lane], values[lane], d);
    });
    put_vec4(x, q, gradients);
  }
};

}  // namespace cuda

/// P is copied to the GPU, so it must hold values and no pointers to host memory.
template <elementwise_augmentation P>
struct augmentation_on<cuda_context, P> : augmentation_traits<P> {
  static_assert(std::is_trivially_copyable_v<P>);
  using augmentation_traits<P>::name;

  template <element T>
  static void forward(cuda_context& ctx, const P& policy, device_matrix<const T> x,
                      const random_key& key, const row_selection& selection, device_matrix<T> out) {
    const cuda::operation call(ctx, name);
    cuda::for_each_vec4(call, x.rows(), x.cols(), selection,
                        cuda::elementwise_forward<P, T>{policy, x, key, out});
  }

  template <element T>
  static void backward(cuda_context& ctx, const P& policy,
                       const operand<T, 2, memory_space::device>& x, const random_key& key,
                       const row_selection& selection, device_matrix<const T> grad_out) {
    const cuda::operation call(ctx, name);
    cuda::for_each_vec4(call, x.value.rows(), x.value.cols(), selection,
                        cuda::elementwise_backward<P, T>{policy, x, key, grad_out});
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
