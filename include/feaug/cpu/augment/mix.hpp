// CPU implementation of interpolate and extrapolate: w·x + (1 − w)·partner, with a weight and a
// partner for every row.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/augment/extrapolate.hpp"
#include "feaug/augment/interpolate.hpp"
#include "feaug/augment/mix.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/row_selection.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/augment/augmentation.hpp"
#include "feaug/cpu/augment/mix_row.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/cpu/core/non_temporal.hpp"
#include "feaug/cpu/core/permutation.hpp"
#include "feaug/cpu/core/put_gradient.hpp"
#include "feaug/cpu/core/rows.hpp"
#include "feaug/cpu/core/workspace.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cpu {

/// The weight of x in row i.
template <class Mix, element U>
compute_t<U> weight_of(const partnered<Mix, U>& policy, const random_key& key, index_t i) {
  if (policy.weights.data != nullptr) return policy.weights[i];
  return static_cast<compute_t<U>>(feaug::detail::draw_weight(policy.mix, key, i));
}

/// The partner is a permutation of the batch.
template <class Mix>
struct permuted_mix_on_host : augmentation_traits<Mix> {
  template <element T>
  static void forward(cpu_context& ctx, const Mix& mix, matrix_view<const T> x,
                      const random_key& key, const row_selection& selection, matrix_view<T> out) {
    workspace::scope scope(ctx.workspace);
    const index_t* const permutation = drawn_permutation(scope, key.streams_later(1), x.rows());
    const bool non_temporal = worth_non_temporal(out, x);
    const instruction_set instructions = usable(ctx.instructions);
    for_each_row(ctx, x.rows(), x.cols(), selection, [&](index_t i, int) {
      const auto weight = static_cast<compute_t<T>>(feaug::detail::draw_weight(mix, key, i));
      mix_row<T>(instructions,
                 {.x = x.row(i),
                  .y = x.row(permutation[i]),
                  .of_x = weight,
                  .of_y = 1 - weight,
                  .next_y = i + 1 < x.rows() ? x.row(permutation[i + 1]) : nullptr},
                 x.cols(), non_temporal, out.row(i));
    });
  }

  /// A row of x contributes to its own output and to that of the row whose partner it is.
  template <element T>
  static void backward(cpu_context& ctx, const Mix& mix, const operand<T>& x, const random_key& key,
                       const row_selection& selection, matrix_view<const T> grad_out) {
    using C = compute_t<T>;
    const index_t rows = x.value.rows();
    workspace::scope scope(ctx.workspace);
    const index_t* const permutation = drawn_permutation(scope, key.streams_later(1), rows);
    auto* partner_of = scope.take<index_t>(rows);
    for (index_t i = 0; i < rows; ++i) partner_of[permutation[i]] = i;
    const auto weight = [&](index_t i) {
      return static_cast<C>(feaug::detail::draw_weight(mix, key, i));
    };
    const bool non_temporal = non_temporal_gradient(x, grad_out);
    const instruction_set instructions = usable(ctx.instructions);
    for_each_row(ctx, rows, x.value.cols(), {}, [&](index_t i, int) {
      const index_t other = partner_of[i];
      const bool own = selection.contains(i);
      const bool lent = selection.contains(other);
      if (own && lent && x.mode == gradient_mode::overwrite) {
        mix_row<T>(instructions,
                   {.x = grad_out.row(i),
                    .y = grad_out.row(other),
                    .of_x = weight(i),
                    .of_y = 1 - weight(other),
                    .next_y = i + 1 < rows ? grad_out.row(partner_of[i + 1]) : nullptr},
                   x.value.cols(), non_temporal, x.gradient.row(i));
        return;
      }
      const C own_weight = own ? weight(i) : C{0};
      const C lent_weight = lent ? C{1} - weight(other) : C{0};
      // The gradients of rows that are not selected may be uninitialised and are not read.
      const T* const own_gradient = grad_out.row(i);
      const T* const lent_gradient = grad_out.row(other);
      put_gradient(
          x, i,
          [=](index_t j) {
            const C from_own = own ? own_weight * load(own_gradient[j]) : C{0};
            const C from_other = lent ? lent_weight * load(lent_gradient[j]) : C{0};
            return from_own + from_other;
          },
          non_temporal);
    });
  }
};

}  // namespace cpu

template <>
struct augmentation_on<cpu_context, interpolate> : cpu::permuted_mix_on_host<interpolate> {};
template <>
struct augmentation_on<cpu_context, extrapolate> : cpu::permuted_mix_on_host<extrapolate> {};

/// The partner is given by the caller.
template <linear_mix Mix, element U>
struct augmentation_on<cpu_context, partnered<Mix, U>> : augmentation_traits<partnered<Mix, U>> {
  using policy_type = partnered<Mix, U>;

  template <element T>
  static void forward(cpu_context& ctx, const policy_type& policy, matrix_view<const T> x,
                      const random_key& key, const row_selection& selection, matrix_view<T> out) {
    const bool non_temporal =
        cpu::worth_non_temporal(out, x) && cpu::worth_non_temporal(out, policy.partner.value);
    const instruction_set instructions = cpu::usable(ctx.instructions);
    cpu::for_each_row(ctx, x.rows(), x.cols(), selection, [&](index_t i, int) {
      const compute_t<T> weight = cpu::weight_of(policy, key, i);
      cpu::mix_row<T>(
          instructions,
          {.x = x.row(i), .y = policy.partner.value.row(i), .of_x = weight, .of_y = 1 - weight},
          x.cols(), non_temporal, out.row(i));
    });
  }

  template <element T>
  static void backward(cpu_context& ctx, const policy_type& policy, const operand<T>& x,
                       const random_key& key, const row_selection& selection,
                       matrix_view<const T> grad_out) {
    using C = compute_t<T>;
    cpu::for_each_row(ctx, x.value.rows(), x.value.cols(), {}, [&](index_t i, int) {
      if (!selection.contains(i)) {
        cpu::put_gradient(policy.partner, i, [](index_t) { return C{0}; });
        return;
      }
      const C w = cpu::weight_of(policy, key, i);
      // The partner first, since x's destination may be grad_out itself.
      const T* const gradient = grad_out.row(i);
      cpu::put_gradient(policy.partner, i,
                        [=](index_t j) { return (C{1} - w) * load(gradient[j]); });
      cpu::put_gradient(x, i, [=](index_t j) { return w * load(gradient[j]); });
    });
  }
};

template <>
struct detail::mix_on<cpu_context> {
  template <class Mix, class C>
  static void draw_weights(cpu_context& /*ctx*/, const Mix& mix, const random_key& key,
                           const vector_view<C>& weights) {
    for (index_t i = 0; i < weights.size(); ++i)
      weights[i] = static_cast<C>(draw_weight(mix, key, i));
  }

  static void draw_partners(cpu_context& ctx, const random_key& key,
                            const vector_view<index_t>& permutation) {
    workspace::scope scratch(ctx.workspace);
    const index_t* const order = cpu::drawn_permutation(scratch, key, permutation.size());
    for (index_t i = 0; i < permutation.size(); ++i) permutation[i] = order[i];
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
