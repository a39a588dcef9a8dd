// CUDA implementation of latent_noise: samples a learned Gaussian, mean + exp(½·log_variance)·ε.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/augment/latent_noise.hpp"
#include "feaug/cuda/augment/augmentation.cuh"
#include "feaug/cuda/augment/noise.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cuda::inline FEAUG_CUBLAS_NAMESPACE {

template <class Source, element T>
struct latent_forward {
  Source source;
  latent_noise how;
  device_matrix<const T> x;
  device_matrix<const T> log_variance;
  device_matrix<T> out;

  __device__ void operator()(const vec4& q) const {
    using C = compute_t<T>;
    C values[4];
    C logs[4];
    C epsilon[4];
    load_vec4(x.row(q.row), q, values);
    load_vec4(log_variance.row(q.row), q, logs);
    source.epsilon(q, epsilon);
    for (int lane = 0; lane < 4; ++lane) {
      const feaug::detail::latent_deviation<C> deviation(how, logs[lane]);
      values[lane] += rounded_product(deviation.value, epsilon[lane]);
    }
    store_vec4(out.row(q.row), q, values);
  }
};

/// For rows that are not selected, the gradient with respect to log_variance is 0, that with
/// respect to x is not written, and grad_out is not read.
template <class Source, element T>
struct latent_backward {
  Source source;
  latent_noise how;
  operand<T, 2, memory_space::device> x;
  operand<T, 2, memory_space::device> log_variance;
  row_selection selection;
  device_matrix<const T> grad_out;

  __device__ void operator()(const vec4& q) const {
    using C = compute_t<T>;
    const bool selected = selection.contains(q.row);
    C gradient[4] = {};
    if (selected) load_vec4(grad_out.row(q.row), q, gradient);
    if (log_variance.wants_gradient()) {
      C by_log[4] = {};
      if (selected) {
        C logs[4];
        C epsilon[4];
        load_vec4(log_variance.value.row(q.row), q, logs);
        source.epsilon(q, epsilon);
        for (int lane = 0; lane < 4; ++lane) {
          const feaug::detail::latent_deviation<C> deviation(how, logs[lane]);
          by_log[lane] = gradient[lane] * (deviation.slope * epsilon[lane]);
        }
      }
      put_vec4(log_variance, q, by_log);
    }
    if (selected) put_vec4(x, q, gradient);
  }
};

}  // namespace cuda

/// No scratch.
template <element U>
struct augmentation_on<cuda_context, latent_noise_policy<U, memory_space::device>>
    : augmentation_traits<latent_noise_policy<U, memory_space::device>> {
  using policy_type = latent_noise_policy<U, memory_space::device>;
  using augmentation_traits<policy_type>::name;

  template <element T>
  static void forward(cuda_context& ctx, const policy_type& policy, device_matrix<const T> x,
                      const random_key& key, const row_selection& selection, device_matrix<T> out) {
    const cuda::operation call(ctx, name);
    check_pointers(policy);
    with_source(policy, key, [&](const auto& source) {
      using body = cuda::latent_forward<std::remove_cvref_t<decltype(source)>, T>;
      cuda::for_each_vec4(call, x.rows(), x.cols(), selection,
                          body{source, policy.how, x, policy.log_variance.value, out});
    });
  }

  template <element T>
  static void backward(cuda_context& ctx, const policy_type& policy,
                       const operand<T, 2, memory_space::device>& x, const random_key& key,
                       const row_selection& selection, device_matrix<const T> grad_out) {
    const cuda::operation call(ctx, name);
    check_pointers(policy);
    with_source(policy, key, [&](const auto& source) {
      using body = cuda::latent_backward<std::remove_cvref_t<decltype(source)>, T>;
      cuda::for_each_vec4(call, x.value.rows(), x.value.cols(), {},
                          body{source, policy.how, x, policy.log_variance, selection, grad_out});
    });
  }

 private:
  static void check_pointers(const policy_type& policy) {
    cuda::on_device(name, "log_variance", policy.log_variance);
    cuda::on_device(name, "epsilon", policy.epsilon);
  }

  /// Calls run(source) with the source of ε.
  template <class Run>
  static void with_source(const policy_type& policy, const random_key& key, const Run& run) {
    if (policy.epsilon.data == nullptr) {
      run(cuda::drawn_epsilon<normal_draw>{key});
    } else {
      run(cuda::given_epsilon<U>{policy.epsilon});
    }
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
