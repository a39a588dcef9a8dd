// A point between a feature and its neighbour, with noise: the pseudo-neighbour of pNNCLR.
#pragma once

#include "feaug/header_begin.hpp"

#include <string_view>

#include "feaug/augment/augmentation.hpp"
#include "feaug/augment/neighbour.hpp"
#include "feaug/core/call_memory.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/finite.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// out = w·unit(x) + (1 − w)·n + σ·ε, where w = weight, σ = noise, ε is standard normal, and n is
/// the output of `of`; with normalize, unit of that. (Biswas et al., pNNCLR, arXiv 2308.06983.)
///
/// Gradient: x receives w·g through the normalisation and, if the gradient of `of` is
/// straight_through, also (1 − w)·g; with normalize g is first propagated through unit(out). The
/// queue is a constant, and so is the unit(x) of a row that uses the fallback. ε is that of
/// gaussian_noise with the same key; `of` draws from the following streams. Errors: those of `of`;
/// weight outside 0 … 1; noise that is negative or not finite. Scratch: that of `of`. The backward
/// pass searches, and needs that scratch, only with normalize; otherwise it needs 8·D bytes a
/// thread.
template <neighbour_kind Of>
struct pseudo_neighbour_of {
  Of of = {};
  float weight = 0.05F;
  float noise = 0;
  bool normalize = false;
};

/// A point between the feature and its nearest neighbour.
using pseudo_neighbour = pseudo_neighbour_of<neighbour>;

/// The policy with given noise, N × D; draw(ctx, gaussian_noise{}, key, epsilon) writes the noise
/// that it would draw itself.
template <element T, memory_space S, class Of>
neighbour_policy<T, S, pseudo_neighbour_of<Of>> with_noise(
    const neighbour_policy<T, S, pseudo_neighbour_of<Of>>& policy,
    const matrix_view<const T, S>& epsilon) {
  neighbour_policy<T, S, pseudo_neighbour_of<Of>> noisy = policy;
  noisy.epsilon = epsilon;
  return noisy;
}

/// The same for the choice of `of`; see with_choice in random_neighbour.hpp.
template <element T, memory_space S, class Of>
requires(neighbour_rule<Of>::draws_choice)
    neighbour_policy<T, S, pseudo_neighbour_of<Of>> with_choice(
        const neighbour_policy<T, S, pseudo_neighbour_of<Of>>& policy,
        const vector_view<const float, S>& choice) {
  neighbour_policy<T, S, pseudo_neighbour_of<Of>> chosen = policy;
  chosen.choice = choice;
  return chosen;
}

template <element U, memory_space S, class Of>
struct augmentation_traits<neighbour_policy<U, S, pseudo_neighbour_of<Of>>>
    : detail::neighbour_checks<neighbour_rule<Of>, neighbour_policy<U, S, pseudo_neighbour_of<Of>>,
                               S> {
  using policy_type = neighbour_policy<U, S, pseudo_neighbour_of<Of>>;
  using rule = neighbour_rule<Of>;
  static constexpr std::string_view name = "pseudo_neighbour";
  static constexpr int streams = 1 + rule::streams;
  static constexpr bool backward_reads_value = true;

  static void validate(const policy_type& policy, index_t rows, index_t cols) {
    check::within(name, "weight", static_cast<double>(policy.how.weight), 0.0, 1.0);
    if (!detail::is_finite(policy.how.noise) || policy.how.noise < 0.0F) {
      check::fail(name, "noise", check::text(policy.how.noise), "a finite number of at least 0");
    }
    rule::validate(name, policy.how.of);
    augmentation_traits::validate_neighbours(name, policy, rule::plan(policy.how.of), rows, cols);
    if (!policy.epsilon.has_value()) return;
    check::readable(name, "epsilon", *policy.epsilon);
    check::has_shape(name, "epsilon", *policy.epsilon, rows, cols, "x");
  }

  /// The weight of g on the straight-through path via the neighbour.
  static double through_share(const policy_type& policy) {
    const bool through = rule::plan(policy.how.of).gradient == neighbour_gradient::straight_through;
    return through ? 1.0 - static_cast<double>(policy.how.weight) : 0.0;
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
