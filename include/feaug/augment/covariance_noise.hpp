// Noise that is spread as features are: x + scale·ε, ε normal with their running covariance.
#pragma once

#include <algorithm>
#include <string_view>
#include <type_traits>

#include "feaug/augment/augmentation.hpp"
#include "feaug/augment/elementwise.hpp"
#include "feaug/augment/noise.hpp"
#include "feaug/augment/running_covariance.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/row_selection.hpp"
#include "feaug/cpu/core/rows.hpp"
#include "feaug/cpu/core/scaled_rows.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// State is a running_covariance or a running_variance.
template <class State>
struct covariance_noise_policy {
  State state;
  float scale = 1.0F;
};

/// out = x + scale · L·n, n the key's standard normal draws (those of gaussian_noise) and L the
/// state's factor: noise of covariance scale²·(Σ + ridge), along directions in which features do
/// differ. With a running_variance: out_j = x_j + scale · deviation_j · n_j. The gradient is g.
///
/// The semantic directions of ISDA (Wang et al., arXiv 1909.12220; its strength λ is scale²),
/// sampled instead of integrated. A state that has seen no rows is an error; on a GPU, which cannot
/// throw, noise of NaN. Scratch on the CPU: D × D numbers and 16 rows a thread (none with a
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

namespace cpu {

/// put(i, noise) for every selected row: noise is a row of L·n.
template <class C, class Put>
void for_each_covariance_noise(cpu_context& ctx, const running_covariance<>& state,
                               const random_key& key, index_t rows, index_t cols,
                               const row_selection& selection, const Put& put) {
  constexpr index_t at_once = 8;  // rows that share what is read of the factor
  constexpr index_t step = 4;     // of the factor's columns: add_scaled_rows takes them together
  workspace::scope scope(ctx.workspace);
  auto* transposed = scope.take<C>(cols * cols);  // of the factor, in what features are computed in
  for_each_row_block(ctx, cols, cols, [&](index_t begin, index_t count, int) {
    for (index_t k = begin; k < begin + count; ++k) {
      for (index_t j = 0; j < cols; ++j)
        transposed[k * cols + j] = static_cast<C>(state.factor(j, k));
    }
  });
  const row_buffers<C> buffers(ctx, scope, 2 * at_once * cols);
  for_each_row_block(ctx, rows, cols, [&](index_t begin, index_t count, int worker) {
    C* const drawn = buffers.of(worker);
    C* const noise = drawn + at_once * cols;
    for (index_t i = begin; i < begin + count;) {
      index_t chosen[at_once];
      index_t some = 0;
      for (; i < begin + count && some < at_once; ++i) {
        if (selection.contains(i)) chosen[some++] = i;
      }
      for (index_t r = 0; r < some; ++r) {
        for_each_draw<normal_draw>(ctx, key, chosen[r], cols, [&](index_t j, normal_draw d) {
          drawn[r * cols + j] = static_cast<C>(d.value);
        });
      }
      std::fill_n(noise, some * cols, C{0});
      for (index_t k = 0; k < cols; k += step) {
        for (index_t r = 0; r < some; ++r) {
          add_scaled_rows(noise + r * cols + k, cols - k, drawn + r * cols + k, 1,
                          transposed + k * cols + k, cols, std::min(step, cols - k));
        }
      }
      for (index_t r = 0; r < some; ++r) put(chosen[r], noise + r * cols);
    }
  });
}

template <class C, class Put>
void for_each_covariance_noise(cpu_context& ctx, const running_variance<>& state,
                               const random_key& key, index_t rows, index_t cols,
                               const row_selection& selection, const Put& put) {
  workspace::scope scope(ctx.workspace);
  const row_buffers<C> buffers(ctx, scope, cols);
  for_each_row(ctx, rows, cols, selection, [&](index_t i, int worker) {
    C* const noise = buffers.of(worker);
    for_each_draw<normal_draw>(ctx, key, i, cols, [&](index_t j, normal_draw d) {
      noise[j] = static_cast<C>(state.deviation[j]) * static_cast<C>(d.value);
    });
    put(i, noise);
  });
}

}  // namespace cpu

template <class State>
struct augmentation_traits<covariance_noise_policy<State>> : detail::passes_gradient {
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

  template <class T, memory_space S>
  static void check_forward(const policy_type& policy, const matrix_view<T, S>& out,
                            bool /*alone*/) {
    check::apart(name, "out", out, policy.state);
  }

  template <element T>
  static void forward(cpu_context& ctx, const policy_type& policy, matrix_view<const T> x,
                      const random_key& key, const row_selection& selection, matrix_view<T> out) {
    using C = compute_t<T>;
    const auto scale = static_cast<C>(policy.scale);
    cpu::for_each_covariance_noise<C>(ctx, policy.state, key, x.rows(), x.cols(), selection,
                                      [&](index_t i, const C* noise) {
                                        for (index_t j = 0; j < x.cols(); ++j)
                                          out(i, j) = store<T>(load(x(i, j)) + scale * noise[j]);
                                      });
  }
};

/// L·n before scaling, N × D: drawn_noise(noise, scale) then does what covariance_noise would.
template <class State, element T>
void draw(cpu_context& ctx, const covariance_noise_policy<State>& policy, const random_key& key,
          const matrix_view<T>& noise) {
  using traits = augmentation_traits<covariance_noise_policy<State>>;
  check::writable("draw", "noise", noise);
  check::usable("draw", key, noise.rows(), noise.cols(), traits::streams);
  traits::validate(policy, noise.rows(), noise.cols());
  traits::check_forward(policy, noise, true);
  if (noise.empty()) return;
  cpu::for_each_covariance_noise<compute_t<T>>(ctx, policy.state, key, noise.rows(), noise.cols(),
                                               {}, [&](index_t i, const compute_t<T>* row) {
                                                 for (index_t j = 0; j < noise.cols(); ++j)
                                                   noise(i, j) = store<T>(row[j]);
                                               });
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
