// CPU implementation of pseudo_neighbour: a point between a feature and its neighbour, with noise
// (pNNCLR).
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/augment/neighbour.hpp"
#include "feaug/augment/noise.hpp"
#include "feaug/augment/pseudo_neighbour.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/finite.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/row_selection.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/augment/augmentation.hpp"
#include "feaug/cpu/augment/neighbour.hpp"
#include "feaug/cpu/augment/neighbours.hpp"
#include "feaug/cpu/augment/noise.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/l2_norm.hpp"
#include "feaug/cpu/core/operation.hpp"
#include "feaug/cpu/core/put_gradient.hpp"
#include "feaug/cpu/core/row_arithmetic.hpp"
#include "feaug/cpu/core/rows.hpp"
#include "feaug/cpu/core/workspace.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cpu {

/// Converts the gradient g with respect to out_i to that with respect to x_i and writes it to x's
/// destination. `made` is out_i before normalisation, or null without normalisation; `gradient` has
/// room for D numbers.
template <element T>
void pseudo_neighbour_backward_row(instruction_set instructions, const operand<T>& x, index_t i,
                                   const T* grad_out, const double* made, double weight,
                                   double through, double* gradient) {
  const T* row = x.value.row(i);
  const index_t cols = x.value.cols();
  for (index_t j = 0; j < cols; ++j) gradient[j] = static_cast<double>(load(grad_out[j]));
  if (made != nullptr) {
    const double inverse = inverse_norm(row_norm(made, cols), default_norm_eps);
    unit_backward_row(instructions, made, cols, inverse, default_norm_eps, gradient);
  }
  const double inverse = inverse_norm(row_norm(row, cols), default_norm_eps);
  const double along = scaled_dot(instructions, row, inverse, gradient, 1.0, cols);
  const double factor = has_no_direction(inverse, default_norm_eps) ? 0.0 : weight * inverse;
  put_gradient(x, i, [&](index_t j) {
    const double unit = static_cast<double>(load(row[j])) * inverse;
    const double own =
        feaug::detail::is_equal(factor, 0.0) ? 0.0 : factor * (gradient[j] - unit * along);
    return static_cast<compute_t<T>>(
        own + (feaug::detail::is_equal(through, 0.0) ? 0.0 : through * gradient[j]));
  });
}

}  // namespace cpu

template <element U, class Of>
struct augmentation_on<cpu_context,
                       neighbour_policy<U, memory_space::host, pseudo_neighbour_of<Of>>>
    : augmentation_traits<neighbour_policy<U, memory_space::host, pseudo_neighbour_of<Of>>> {
  using policy_type = neighbour_policy<U, memory_space::host, pseudo_neighbour_of<Of>>;
  using rule = neighbour_rule<Of>;
  using augmentation_traits<policy_type>::name;

  template <element T>
  static void forward(cpu_context& ctx, const policy_type& policy, matrix_view<const T> x,
                      const random_key& key, const row_selection& selection, matrix_view<T> out) {
    for_each_made_row(
        ctx, policy, x, key, selection,
        [&](index_t i, const cpu::used_slots& used, const double* row, int) {
          cpu::tell_slots(policy.binding, i, used);
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
    const double through = augmentation_on::through_share(policy);
    const auto put = [&](index_t i, const double* made, int worker) {
      cpu::pseudo_neighbour_backward_row(cpu::usable(ctx.instructions), x, i, grad_out.row(i), made,
                                         weight, through, gradients.of(worker));
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

 private:
  /// Calls use(i, used slots, w·unit(x_i) + (1 − w)·n_i + σ·ε_i, worker).
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
                                cpu::for_each_noise(ctx, gaussian_noise{}, key, i, cols, add);
                              }
                              use(i, used, row, worker);
                            });
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
