// CPU implementation of latent_noise: samples a learned Gaussian, mean + exp(½·log_variance)·ε.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>

#include "feaug/augment/latent_noise.hpp"
#include "feaug/augment/noise.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/row_selection.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/augment/augmentation.hpp"
#include "feaug/cpu/augment/noise.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/put_gradient.hpp"
#include "feaug/cpu/core/rows.hpp"
#include "feaug/cpu/core/workspace.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cpu {

/// Calls visit(j, ε) for row i, with drawn or given ε.
template <element T, class Visit>
void latent_row(const cpu_context& ctx, const latent_noise_policy<T>& policy, const random_key& key,
                index_t i, index_t cols, const Visit& visit) {
  if (policy.epsilon.data == nullptr) {
    for_each_noise(ctx, gaussian_noise{}, key, i, cols, visit);
  } else {
    for_each_noise(ctx, noise_from_policy<T>{.epsilon = policy.epsilon}, key, i, cols, visit);
  }
}

}  // namespace cpu

template <element U>
struct augmentation_on<cpu_context, latent_noise_policy<U>>
    : augmentation_traits<latent_noise_policy<U>> {
  using policy_type = latent_noise_policy<U>;

  template <element T>
  static void forward(cpu_context& ctx, const policy_type& policy, matrix_view<const T> x,
                      const random_key& key, const row_selection& selection, matrix_view<T> out) {
    using C = compute_t<T>;
    cpu::for_each_row(ctx, x.rows(), x.cols(), selection, [&](index_t i, int) {
      cpu::latent_row(ctx, policy, key, i, x.cols(), [&](index_t j, auto epsilon) {
        const detail::latent_deviation<C> deviation(policy.how,
                                                    load(policy.log_variance.value(i, j)));
        out(i, j) = store<T>(load(x(i, j)) + deviation.value * static_cast<C>(epsilon));
      });
    });
  }

  /// The gradients of rows that are not selected may be uninitialised and are not read.
  template <element T>
  static void backward(cpu_context& ctx, const policy_type& policy, const operand<T>& x,
                       const random_key& key, const row_selection& selection,
                       matrix_view<const T> grad_out) {
    using C = compute_t<T>;
    const index_t cols = x.value.cols();
    const operand<T>& log_variance = policy.log_variance;
    workspace::scope scope(ctx.workspace);
    const cpu::row_buffers<C> gradients(ctx, scope, cols);
    cpu::for_each_row(ctx, x.value.rows(), cols, {}, [&](index_t i, int worker) {
      const bool selected = selection.contains(i);
      if (log_variance.wants_gradient()) {
        C* const gradient = gradients.of(worker);
        std::fill_n(gradient, cols, C{0});
        if (selected) {
          cpu::latent_row(ctx, policy, key, i, cols, [&](index_t j, auto epsilon) {
            const detail::latent_deviation<C> deviation(policy.how, load(log_variance.value(i, j)));
            gradient[j] = load(grad_out(i, j)) * (deviation.slope * static_cast<C>(epsilon));
          });
        }
        cpu::put_gradient(log_variance, i, [&](index_t j) { return gradient[j]; });
      }
      // Last, since x's destination may be grad_out itself.
      if (selected) cpu::put_gradient(x, i, [&](index_t j) { return load(grad_out(i, j)); });
    });
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
