// Noise with the covariance of the features: x + scale·ε, ε normal with their running covariance.
#pragma once

#include "feaug/header_begin.hpp"

#include <string_view>

#include "feaug/augment/augmentation.hpp"
#include "feaug/augment/noise.hpp"
#include "feaug/augment/running_covariance.hpp"
#include "feaug/core/any_context.hpp"
#include "feaug/core/call_memory.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// State is running_covariance or running_variance.
template <class State>
struct covariance_noise_policy {
  State state;
  float scale = 1.0F;
};

/// out = x + scale · L·n, where n are the key's standard normal draws (those of gaussian_noise) and
/// L is the state's factor. The noise has covariance scale²·(Σ + ridge), so it points in directions
/// in which features vary. With a running_variance: out_j = x_j + scale · deviation_j · n_j. The
/// gradient is g.
///
/// These are the semantic directions of ISDA (Wang et al., arXiv 1909.12220; its strength λ is
/// scale²), sampled instead of integrated. A state that has seen no rows is an error; a GPU cannot
/// throw and writes NaN. Scratch on the CPU: D × D numbers and 16 rows a thread (none with a
/// running_variance).
template <memory_space S>
covariance_noise_policy<running_covariance<S>> covariance_noise(const running_covariance<S>& state,
                                                                float scale = 1.0F) {
  return {.state = state, .scale = scale};
}
template <memory_space S>
covariance_noise_policy<running_variance<S>> covariance_noise(const running_variance<S>& state,
                                                              float scale = 1.0F) {
  return {.state = state, .scale = scale};
}

namespace detail {

template <memory_space S>
constexpr memory_space space_of(const running_covariance<S>& /*state*/) {
  return S;
}
template <memory_space S>
constexpr memory_space space_of(const running_variance<S>& /*state*/) {
  return S;
}

}  // namespace detail

template <class State>
struct augmentation_traits<covariance_noise_policy<State>> : augmentation_defaults {
  using policy_type = covariance_noise_policy<State>;
  static constexpr std::string_view name = "covariance_noise";
  static constexpr int streams = 1;

  static void validate(const policy_type& policy, index_t /*rows*/, index_t cols) {
    constexpr memory_space space = detail::space_of(State{});
    check::valid(name, policy.state, cols);
    if constexpr (space == memory_space::host) {
      if (*policy.state.count == 0)
        check::fail(name, "state", "no rows seen", "at least one (update_covariance)");
    }
    detail::check_noise_scale(name, policy.scale);
  }

  static void add_memory(const policy_type& policy, check::call_memory& memory) {
    detail::for_each_view(
        policy.state, [&](std::string_view part, const auto& view) { memory.reads(part, view); });
  }
};

namespace detail {

/// A context's implementation: draw, called with checked arguments.
template <class Context>
struct covariance_noise_on {
  static_assert(is_included<Context>,
                "include feaug/cpu/augment/covariance_noise.hpp or "
                "feaug/cuda/augment/covariance_noise.cuh");
};

}  // namespace detail

/// Draws L·n before scaling, N × D; noise_from(noise, scale) then equals covariance_noise.
template <any_context Context, running_statistics<Context::space> State, element T>
void draw(Context& ctx, const covariance_noise_policy<State>& policy, const random_key& key,
          const matrix_view<T, Context::space>& noise) {
  constexpr std::string_view op = "draw";
  check::writable(op, "noise", noise);
  detail::check_draw<Context>(policy, key, noise.rows(), noise.cols());
  augmentation_traits<covariance_noise_policy<State>>::check_forward(policy, noise, true);
  if (noise.empty()) return;
  require_reachable(ctx, op, "noise", noise);
  detail::require_state_reachable(ctx, op, policy.state);
  detail::covariance_noise_on<Context>::template draw<T>(ctx, policy.state, key, noise);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
