// latent_noise: samples a learned Gaussian by the reparameterisation trick,
// mean + exp(½·log_variance)·ε.
#pragma once

#include "feaug/header_begin.hpp"

#include <limits>
#include <string_view>
#include <type_traits>

#include "feaug/augment/augmentation.hpp"
#include "feaug/core/call_memory.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/elementary.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/finite.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// out = x + exp(½·log_variance) ⊙ ε, where x is the mean and ε is standard normal noise, generated
/// from the random key (the same numbers as gaussian_noise) and generated again in the backward
/// pass. This is the reparameterisation trick of Kingma and Welling (arXiv 1312.6114), for a
/// generative model in feature space. with_log_variance adds the log-variances. For an incoming
/// gradient g, the gradients are g with respect to x and g ⊙ ½·exp(½·log_variance) ⊙ ε with respect
/// to log_variance, each unless stopped. A log-variance of −∞ means a standard deviation of 0.
struct latent_noise {
  /// Log-variances are clamped to these bounds, with gradient 0 outside. Bounds such as −10 and 10
  /// keep an untrained encoder from overflowing.
  float least_log_variance = -std::numeric_limits<float>::infinity();
  float most_log_variance = std::numeric_limits<float>::infinity();
};

template <element T, memory_space Space = memory_space::host>
struct latent_noise_policy {
  latent_noise how;
  operand<T, 2, Space> log_variance;         ///< N × D
  matrix_view<const T, Space> epsilon = {};  ///< N × D draws; empty: drawn from the key
};

/// `how` with these log-variances (N × D). An operand receives its gradient; a view is a constant.
template <element T, memory_space S>
latent_noise_policy<T, S> with_log_variance(const latent_noise& how,
                                            const operand<T, 2, S>& log_variance) {
  return {.how = how, .log_variance = log_variance};
}
template <class T, memory_space S>
latent_noise_policy<std::remove_const_t<T>, S> with_log_variance(
    const latent_noise& how, const matrix_view<T, S>& log_variance) {
  return {.how = how, .log_variance = stop_gradient(log_variance)};
}

/// The same with given draws, as written by draw(ctx, gaussian_noise{}, key, epsilon).
template <element T, memory_space S>
latent_noise_policy<T, S> with_log_variance(
    const latent_noise& how, const operand<T, 2, S>& log_variance,
    const std::type_identity_t<matrix_view<const T, S>>& epsilon) {
  return {.how = how, .log_variance = log_variance, .epsilon = epsilon};
}

namespace detail {

/// exp(½·log_variance) with the log-variance clamped, and its derivative.
template <class C>
struct latent_deviation {
  C value;
  C slope;

  FEAUG_HD latent_deviation(const latent_noise& how, C log_variance) {
    const auto least = static_cast<C>(how.least_log_variance);
    const auto most = static_cast<C>(how.most_log_variance);
    const bool below = log_variance < least;
    const bool above = log_variance > most;
    const C within = below ? least : above ? most : log_variance;  // keeps NaN
    value = feaug::detail::exp(C{0.5} * within);
    slope = below || above ? C{0} : C{0.5} * value;
  }
};

}  // namespace detail

template <element U, memory_space S>
struct augmentation_traits<latent_noise_policy<U, S>> : augmentation_defaults {
  using policy_type = latent_noise_policy<U, S>;
  static constexpr std::string_view name = "latent_noise";
  static constexpr int streams = 1;

  static bool wants_gradient(const policy_type& policy) {
    return policy.log_variance.wants_gradient();
  }

  static void validate(const policy_type& policy, index_t rows, index_t cols) {
    check::valid(name, "log_variance", policy.log_variance);
    check::has_shape(name, "log_variance", policy.log_variance.value, rows, cols, "x");
    check::readable(name, "epsilon", policy.epsilon);
    if (policy.epsilon.data != nullptr)
      check::has_shape(name, "epsilon", policy.epsilon, rows, cols, "x");
    const float least = policy.how.least_log_variance;
    const float most = policy.how.most_log_variance;
    if (detail::is_nan(least)) check::fail(name, "least_log_variance", "nan", "a number");
    if (detail::is_nan(most) || most < least) {
      check::fail(name, "most_log_variance", check::text(most),
                  "at least least_log_variance = " + check::text(least));
    }
  }

  static void add_memory(const policy_type& policy, check::call_memory& memory) {
    memory.uses("log_variance", policy.log_variance).reads("epsilon", policy.epsilon);
  }

  template <class T>
  static void check_forward(const policy_type& policy, const matrix_view<T, S>& out, bool alone) {
    if (alone) {
      check::apart_or_same(name, "out", out, "log_variance", policy.log_variance.value);
    } else {
      check::apart(name, "out", out, "log_variance", policy.log_variance.value);
    }
    check::apart(name, "out", out, "epsilon", policy.epsilon);
  }

  template <class T>
  static void check_backward(const policy_type& policy, const operand<T, 2, S>& x,
                             const matrix_view<const T, S>& grad_out) {
    check::apart(name, "x", x, "log_variance", policy.log_variance);
    if (policy.log_variance.wants_gradient()) {
      check::apart(name, "gradient of log_variance", policy.log_variance.gradient, "grad_out",
                   grad_out);
    }
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
