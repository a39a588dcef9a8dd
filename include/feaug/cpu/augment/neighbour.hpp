// CPU implementation of the neighbour augmentations: neighbours in a support queue as the augmented
// feature.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/augment/mean_neighbour.hpp"
#include "feaug/augment/mutual_neighbour.hpp"
#include "feaug/augment/neighbour.hpp"
#include "feaug/augment/random_neighbour.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/row_selection.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/augment/augmentation.hpp"
#include "feaug/cpu/augment/neighbours.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/operation.hpp"
#include "feaug/cpu/core/put_gradient.hpp"
#include "feaug/cpu/core/rows.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cpu {

/// Writes the slots used for row i to the outputs of the binding.
inline void tell_slots(const neighbour_binding& binding, index_t i, const used_slots& used) {
  if (!binding.indices.empty()) binding.indices[i] = used.count > 0 ? used.slots[0] : -1;
  if (binding.rows_used.empty()) return;
  for (index_t r = 0; r < binding.rows_used.cols(); ++r)
    binding.rows_used(i, r) = r < used.count ? used.slots[r] : -1;
}

}  // namespace cpu

template <element U, neighbour_kind How>
struct augmentation_on<cpu_context, neighbour_policy<U, memory_space::host, How>>
    : augmentation_traits<neighbour_policy<U, memory_space::host, How>> {
  using policy_type = neighbour_policy<U, memory_space::host, How>;
  using rule = neighbour_rule<How>;
  using augmentation_traits<policy_type>::name;

  template <element T>
  static void forward(cpu_context& ctx, const policy_type& policy, matrix_view<const T> x,
                      const random_key& key, const row_selection& selection, matrix_view<T> out) {
    const cpu::neighbour_source<T> from = {.op = name,
                                           .queue = policy.queue,
                                           .plan = rule::plan(policy.how),
                                           .exclude_ids = policy.binding.exclude_ids,
                                           .choice = policy.choice};
    cpu::for_each_neighbour(ctx, from, x, key, selection,
                            [&](index_t i, const cpu::used_slots& used, const double* row, int) {
                              cpu::tell_slots(policy.binding, i, used);
                              for (index_t j = 0; j < x.cols(); ++j)
                                out(i, j) = store<T>(static_cast<compute_t<T>>(row[j]));
                            });
  }

  /// Straight-through passes g to every row, including rows that use the fallback, so no search is
  /// needed.
  template <element T>
  static void backward(cpu_context& ctx, const policy_type& policy, const operand<T>& x,
                       const random_key& /*key*/, const row_selection& selection,
                       matrix_view<const T> grad_out) {
    using C = compute_t<T>;
    if constexpr (rule::mixes_rows) {
      cpu::operation call(ctx, name);
      if (!selection.all()) cpu::put_zero_gradient(call, x, selection, false);
    }
    const bool through = rule::plan(policy.how).gradient == neighbour_gradient::straight_through;
    cpu::for_each_row(ctx, x.value.rows(), x.value.cols(), selection, [&](index_t i, int) {
      cpu::put_gradient(x, i, [&](index_t j) { return through ? load(grad_out(i, j)) : C{0}; });
    });
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
