// CUDA implementation of gaussian_noise and uniform_noise: x + σ·ε.
#pragma once

#include "feaug/header_begin.hpp"

#include <cstdint>
#include <type_traits>

#include "feaug/augment/noise.hpp"
#include "feaug/core/draws.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/row_selection.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/augment/augmentation.cuh"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/l2_norm.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/core/vec4.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cuda::inline FEAUG_CUBLAS_NAMESPACE {

// A source gives a vec4's ε: epsilon(q, values).

template <class Draw>
struct drawn_epsilon {
  random_key key;

  template <class C>
  __device__ void epsilon(const vec4& q, C (&values)[4]) const {
    float drawn[4];
    feaug::detail::draw_four<Draw>(key.resolved(), q.row, static_cast<std::uint32_t>(q.first / 4),
                                   drawn);
    for (int lane = 0; lane < 4; ++lane) {
      // 2u − 1 is exact, because u has 24 bits.
      values[lane] = static_cast<C>(std::is_same_v<Draw, uniform_draw> ? 2.0F * drawn[lane] - 1.0F
                                                                       : drawn[lane]);
    }
  }
};

template <element T>
struct given_epsilon {
  device_matrix<const T> given;

  template <class C>
  __device__ void epsilon(const vec4& q, C (&values)[4]) const {
    compute_t<T> loaded[4];
    load_vec4(given.row(q.row), q, loaded);
    for (int lane = 0; lane < 4; ++lane) values[lane] = static_cast<C>(loaded[lane]);
  }
};

inline drawn_epsilon<normal_draw> epsilon_of(const gaussian_noise& /*policy*/,
                                             const random_key& key) {
  return {.key = key};
}
inline drawn_epsilon<uniform_draw> epsilon_of(const uniform_noise& /*policy*/,
                                              const random_key& key) {
  return {.key = key};
}
template <element T>
given_epsilon<T> epsilon_of(const noise_from_policy<T, memory_space::device>& policy,
                            const random_key& /*key*/) {
  return {.given = policy.epsilon};
}

template <class Source, element T>
struct add_noise {
  Source source;
  double scale;
  const double* norms;  ///< null: the scale is absolute
  device_matrix<const T> x;
  device_matrix<T> out;

  __device__ void operator()(const vec4& q) const {
    using C = compute_t<T>;
    const C sigma = static_cast<C>(norms == nullptr ? scale : scale * norms[q.row]);
    C values[4];
    C epsilon[4];
    load_vec4(x.row(q.row), q, values);
    source.epsilon(q, epsilon);
    for (int lane = 0; lane < 4; ++lane) values[lane] += rounded_product(sigma, epsilon[lane]);
    store_vec4(out.row(q.row), q, values);
  }
};

/// The gradient is factor · g. With factor 0, g is not read.
template <element T>
struct pass_gradient {
  operand<T, 2, memory_space::device> x;
  device_matrix<const T> grad_out;
  compute_t<T> factor;

  __device__ void operator()(const vec4& q) const {
    compute_t<T> gradient[4] = {};
    if (factor != compute_t<T>{0}) load_vec4(grad_out.row(q.row), q, gradient);
    put_vec4(x, q, gradient);
  }
};

template <class Source, element T>
struct write_epsilon {
  Source source;
  device_matrix<T> to;

  __device__ void operator()(const vec4& q) const {
    compute_t<T> values[4];
    source.epsilon(q, values);
    store_vec4(to.row(q.row), q, values);
  }
};

/// Backward pass of additive noise: the gradient is g.
template <class P>
struct passes_gradient_on_device : augmentation_traits<P> {
  using augmentation_traits<P>::name;

  template <element T>
  static void backward(cuda_context& ctx, const P& /*policy*/,
                       const operand<T, 2, memory_space::device>& x, const random_key& /*key*/,
                       const row_selection& selection, device_matrix<const T> grad_out) {
    const operation call(ctx, name);
    for_each_vec4(call, x.value.rows(), x.value.cols(), selection,
                  pass_gradient<T>{x, grad_out, compute_t<T>{1}});
  }
};

/// Forward pass of all noises.
template <class P>
struct noise_on_device : passes_gradient_on_device<P> {
  using augmentation_traits<P>::name;

  template <element T>
  static void forward(cuda_context& ctx, const P& policy, device_matrix<const T> x,
                      const random_key& key, const row_selection& selection, device_matrix<T> out) {
    operation call(ctx, name);
    double* norms = nullptr;
    if (policy.relative_to == noise_scale::row_norm) {
      norms = call.take<double>(x.rows());
      row_norms(call, x, norm_output::norm, default_norm_eps, norms);
    }
    const auto source = epsilon_of(policy, key);
    using body = add_noise<std::remove_const_t<decltype(source)>, T>;
    for_each_vec4(call, x.rows(), x.cols(), selection,
                  body{source, static_cast<double>(policy.scale), norms, x, out});
  }
};

}  // namespace cuda

template <>
struct augmentation_on<cuda_context, gaussian_noise> : cuda::noise_on_device<gaussian_noise> {};
template <>
struct augmentation_on<cuda_context, uniform_noise> : cuda::noise_on_device<uniform_noise> {};
template <element U>
struct augmentation_on<cuda_context, noise_from_policy<U, memory_space::device>>
    : cuda::noise_on_device<noise_from_policy<U, memory_space::device>> {};

template <>
struct detail::noise_on<cuda_context> {
  template <element T, class P>
  static void draw(cuda_context& ctx, const P& policy, const random_key& key,
                   const device_matrix<T>& epsilon) {
    const cuda::operation call(ctx, "draw");
    const auto source = cuda::epsilon_of(policy, key);
    using body = cuda::write_epsilon<std::remove_const_t<decltype(source)>, T>;
    cuda::for_each_vec4(call, epsilon.rows(), epsilon.cols(), {}, body{source, epsilon});
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
