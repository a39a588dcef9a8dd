// A point between the feature and its neighbour, with noise: pNNCLR's pseudo-neighbour.
#pragma once

#include <cmath>
#include <string_view>

#include "feaug/augment/neighbour.hpp"
#include "feaug/augment/noise.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/row_norm.hpp"
#include "feaug/core/row_selection.hpp"
#include "feaug/cpu/core/put_gradient.hpp"
#include "feaug/cpu/core/rows.hpp"
#include "feaug/cpu/core/unit_rows.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// out = w·unit(x) + (1 − w)·n + σ·ε, w = weight, σ = noise, ε standard normal, and n what `of`
/// makes of the neighbours; with normalize, unit(out). (Biswas et al., pNNCLR, arXiv 2308.06983.)
///
/// Gradient: w·g through the normalisation to x, and with `of`'s gradient straight_through (1 −
/// w)·g to x besides; with normalize g first goes back through unit(out). The queue is a constant;
/// so is the unit(x) of a row that has no neighbour and falls back. ε is gaussian_noise's of the
/// same key; `of` draws from the streams after it. Errors: `of`'s; weight outside 0 … 1, noise that
/// is negative or not finite. Scratch: `of`'s; its backward pass searches (and needs that) only
/// with normalize, else 8·D bytes a thread.
template <neighbour_kind Of>
struct pseudo_neighbour_of {
  Of of = {};
  float weight = 0.05F;
  float noise = 0;
  bool normalize = false;
};

/// Between the feature and its nearest neighbour.
using pseudo_neighbour = pseudo_neighbour_of<neighbour>;

/// A policy with noise that was drawn before, N × D; draw(ctx, gaussian_noise{}, key, epsilon) is
/// what it draws itself.
template <element T, memory_space S, class Of>
neighbour_policy<T, S, pseudo_neighbour_of<Of>> with_noise(
    const neighbour_policy<T, S, pseudo_neighbour_of<Of>>& policy,
    const matrix_view<const T, S>& epsilon) {
  neighbour_policy<T, S, pseudo_neighbour_of<Of>> noisy = policy;
  noisy.epsilon = epsilon;
  return noisy;
}

/// The same for what `of` chooses; see with_choice in random_neighbour.hpp.
template <element T, memory_space S, class Of>
requires(neighbour_rule<Of>::draws_choice)
    neighbour_policy<T, S, pseudo_neighbour_of<Of>> with_choice(
        const neighbour_policy<T, S, pseudo_neighbour_of<Of>>& policy,
        const vector_view<const float, S>& choice) {
  neighbour_policy<T, S, pseudo_neighbour_of<Of>> chosen = policy;
  chosen.choice = choice;
  return chosen;
}

namespace cpu {

/// The gradient g by out_i becomes that by x_i, put where x wants it. `made` is out_i before it was
/// normalised, null if it was not; `gradient` holds D numbers.
template <element T>
void pseudo_neighbour_backward_row(const operand<T>& x, index_t i, const T* grad_out,
                                   const double* made, double weight, double through,
                                   double* gradient) {
  const T* row = x.value.row(i);
  const index_t cols = x.value.cols();
  for (index_t j = 0; j < cols; ++j) gradient[j] = static_cast<double>(load(grad_out[j]));
  if (made != nullptr) {
    const double inverse = inverse_norm(row_norm(made, cols), default_norm_eps);
    unit_backward_row(made, cols, inverse, default_norm_eps, gradient);
  }
  const double inverse = inverse_norm(row_norm(row, cols), default_norm_eps);
  double along = 0;
  for (index_t j = 0; j < cols; ++j)
    along += static_cast<double>(load(row[j])) * inverse * gradient[j];
  const double factor = inverse >= 1.0 / default_norm_eps ? 0.0 : weight * inverse;
  put_gradient(x, i, [&](index_t j) {
    const double unit = static_cast<double>(load(row[j])) * inverse;
    const double own = factor == 0.0 ? 0.0 : factor * (gradient[j] - unit * along);
    return static_cast<compute_t<T>>(own + (through == 0.0 ? 0.0 : through * gradient[j]));
  });
}

}  // namespace cpu

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
    if (!(policy.how.noise >= 0.0F) || !std::isfinite(policy.how.noise)) {
      check::fail(name, "noise", check::text(policy.how.noise), "a finite number of at least 0");
    }
    rule::validate(name, policy.how.of);
    augmentation_traits::validate_neighbours(name, policy, rule::plan(policy.how.of), rows, cols);
    if (!policy.epsilon.has_value()) return;
    check::readable(name, "epsilon", *policy.epsilon);
    check::has_shape(name, "epsilon", *policy.epsilon, rows, cols, "x");
  }

  template <class T>
  static void check_forward(const policy_type& policy, const matrix_view<T, S>& out,
                            bool /*alone*/) {
    check_apart(policy, "out", out);
  }
  template <class T>
  static void check_backward(const policy_type& policy, const operand<T, 2, S>& x,
                             const matrix_view<const T, S>& /*grad_out*/) {
    if (x.wants_gradient()) check_apart(policy, "gradient of x", x.gradient);
  }

  template <element T>
  static void forward(cpu_context& ctx, const policy_type& policy, matrix_view<const T> x,
                      const random_key& key, const row_selection& selection, matrix_view<T> out) {
    for_each_made_row(
        ctx, policy, x, key, selection,
        [&](index_t i, const cpu::used_slots& used, const double* row, int) {
          detail::tell_slots(policy.binding, i, used);
          const index_t cols = x.cols();
          const double scale =
              policy.how.normalize ? inverse_norm(row_norm(row, cols), default_norm_eps) : 1.0;
          for (index_t j = 0; j < cols; ++j)
            out(i, j) = store<T>(static_cast<compute_t<T>>(row[j] * scale));
        });
  }

  template <element T>
  static void backward(cpu_context& ctx, const policy_type& policy, const operand<T>& x,
                       const random_key& key, const row_selection& selection,
                       matrix_view<const T> grad_out) {
    if (!x.wants_gradient()) return;
    cpu::operation call(ctx, name);
    if (rule::mixes_rows && !selection.all()) cpu::put_zero_gradient(call, x, selection, false);
    workspace::scope scope(ctx.workspace);
    const cpu::row_buffers<double> gradients(ctx, scope, x.value.cols());
    const double weight = static_cast<double>(policy.how.weight);
    const double through = through_share(policy);
    const auto put = [&](index_t i, const double* made, int worker) {
      cpu::pseudo_neighbour_backward_row(x, i, grad_out.row(i), made, weight, through,
                                         gradients.of(worker));
    };
    if (policy.how.normalize) {
      for_each_made_row(ctx, policy, x.value, key, selection,
                        [&](index_t i, const cpu::used_slots& /*used*/, const double* row,
                            int worker) { put(i, row, worker); });
    } else {
      cpu::for_each_row(ctx, x.value.rows(), x.value.cols(), selection,
                        [&](index_t i, int worker) { put(i, nullptr, worker); });
    }
  }

  /// What g is multiplied by on its straight way through the neighbour.
  static double through_share(const policy_type& policy) {
    const bool through = rule::plan(policy.how.of).gradient == neighbour_gradient::straight_through;
    return through ? 1.0 - static_cast<double>(policy.how.weight) : 0.0;
  }

 private:
  template <class T>
  static void check_apart(const policy_type& policy, std::string_view output,
                          const matrix_view<T, S>& out) {
    augmentation_traits::check_neighbours_apart(name, policy, output, out);
    if (policy.epsilon.has_value()) check::apart(name, output, out, "epsilon", *policy.epsilon);
  }

  /// use(i, used slots, w·unit(x_i) + (1 − w)·n_i + σ·ε_i, worker).
  template <element T, class Use>
  static void for_each_made_row(cpu_context& ctx, const policy_type& policy,
                                const matrix_view<const T>& x, const random_key& key,
                                const row_selection& selection, const Use& use) {
    const cpu::neighbour_source<T> from = {.op = name,
                                           .queue = policy.queue,
                                           .plan = rule::plan(policy.how.of),
                                           .exclude_ids = policy.binding.exclude_ids,
                                           .choice = policy.choice};
    const double weight = static_cast<double>(policy.how.weight);
    const double sigma = static_cast<double>(policy.how.noise);
    cpu::for_each_neighbour(ctx, from, x, key.streams_later(1), selection,
                            [&](index_t i, const cpu::used_slots& used, double* row, int worker) {
                              const index_t cols = x.cols();
                              const double inverse =
                                  inverse_norm(row_norm(x.row(i), cols), default_norm_eps);
                              for (index_t j = 0; j < cols; ++j) {
                                const double unit = static_cast<double>(load(x(i, j))) * inverse;
                                row[j] = weight * unit + (1.0 - weight) * row[j];
                              }
                              const auto add = [&](index_t j, auto epsilon) {
                                row[j] += sigma * static_cast<double>(epsilon);
                              };
                              if (sigma > 0 && policy.epsilon.has_value()) {
                                for (index_t j = 0; j < cols; ++j)
                                  add(j, load((*policy.epsilon)(i, j)));
                              } else if (sigma > 0) {
                                detail::for_each_noise(ctx, gaussian_noise{}, key, i, cols, add);
                              }
                              use(i, used, row, worker);
                            });
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
