// CPU implementation of every row_mix: two-row mixes whose coefficients depend on row sums. The
// partner is a permuted row of the batch or a row of a given view. The output takes three passes
// over both rows of a pair, the gradients four; computed in double.
#pragma once

#include "feaug/header_begin.hpp"

#include <cstddef>

#include "feaug/augment/exchange_moments.hpp"
#include "feaug/augment/mix.hpp"
#include "feaug/augment/row_mix.hpp"
#include "feaug/augment/slerp.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/row_selection.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/augment/augmentation.hpp"
#include "feaug/cpu/augment/mix.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/lanes.hpp"
#include "feaug/cpu/core/permutation.hpp"
#include "feaug/cpu/core/put_gradient.hpp"
#include "feaug/cpu/core/rows.hpp"
#include "feaug/cpu/core/workspace.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cpu {

/// Reductions over the columns of a row in lanes: element j is added to lane j mod 16.
struct lane_reduce {
  template <int Count, class Term>
  feaug::detail::sum_array<Count> sums(index_t cols, const Term& term) const {
    double lanes[std::size_t{Count}][lane_count] = {};
    const index_t full = in_full_lanes(cols);
    for (index_t j = 0; j < full; j += lane_count) {
      for (index_t lane = 0; lane < lane_count; ++lane) {
        const auto terms = term(j + lane);
        for (int which = 0; which < Count; ++which) lanes[which][lane] += terms.value[which];
      }
    }
    for (index_t j = full; j < cols; ++j) {
      const auto terms = term(j);
      for (int which = 0; which < Count; ++which) lanes[which][j - full] += terms.value[which];
    }
    feaug::detail::sum_array<Count> sums = {};
    for (int which = 0; which < Count; ++which) {
      for (const double lane : lanes[which]) sums.value[which] += lane;
    }
    return sums;
  }

  template <class Term>
  double largest(index_t cols, const Term& term) const {
    double largest = 0;
    for (index_t j = 0; j < cols; ++j) {
      const double candidate = term(j);
      if (candidate > largest) largest = candidate;
    }
    return largest;
  }
};

}  // namespace cpu

namespace detail {

/// Writes a row of the output.
template <row_mix Mix, element T>
void row_mix_output(const Mix& mix, const T* x, const T* partner, index_t cols, double weight,
                    T* out) {
  const output_plan plan = plan_output(cpu::lane_reduce{}, mix, x, partner, cols, weight);
  for (index_t j = 0; j < cols; ++j) {
    out[j] = store<T>(static_cast<compute_t<T>>(
        plan(static_cast<double>(load(x[j])), static_cast<double>(load(partner[j])))));
  }
}

}  // namespace detail

/// The partner is a permutation of the batch.
template <row_mix Mix>
struct augmentation_on<cpu_context, Mix> : augmentation_traits<Mix> {
  template <element T>
  static void forward(cpu_context& ctx, const Mix& mix, matrix_view<const T> x,
                      const random_key& key, const row_selection& selection, matrix_view<T> out) {
    workspace::scope scope(ctx.workspace);
    const index_t* const permutation =
        cpu::drawn_permutation(scope, detail::permutation_key<Mix>(key), x.rows());
    cpu::for_each_row(ctx, x.rows(), x.cols(), selection, [&](index_t i, int) {
      detail::row_mix_output(mix, x.row(i), x.row(permutation[i]), x.cols(), weight<T>(mix, key, i),
                             out.row(i));
    });
  }

  /// A row of x contributes to its own output and to that of the row whose partner it is.
  template <element T>
  static void backward(cpu_context& ctx, const Mix& mix, const operand<T>& x, const random_key& key,
                       const row_selection& selection, matrix_view<const T> grad_out) {
    using C = compute_t<T>;
    if (!x.wants_gradient()) return;
    const index_t rows = x.value.rows();
    const index_t cols = x.value.cols();
    workspace::scope scope(ctx.workspace);
    const index_t* const permutation =
        cpu::drawn_permutation(scope, detail::permutation_key<Mix>(key), rows);
    auto* partner_of = scope.take<index_t>(rows);
    auto* plans = scope.take<gradient_plan>(rows);
    for (index_t i = 0; i < rows; ++i) partner_of[permutation[i]] = i;
    cpu::for_each_row(ctx, rows, cols, selection, [&](index_t i, int) {
      plans[i] = detail::plan_gradients(cpu::lane_reduce{}, mix, x.value.row(i),
                                        x.value.row(permutation[i]), grad_out.row(i), cols,
                                        weight<T>(mix, key, i));
    });
    const auto at = [](const T* row, index_t j) { return static_cast<double>(load(row[j])); };
    cpu::for_each_row(ctx, rows, cols, {}, [&](index_t i, int) {
      const index_t other = partner_of[i];
      const bool own = selection.contains(i);
      const bool lent = selection.contains(other);
      const T* row = x.value.row(i);
      const T* partner = x.value.row(permutation[i]);
      const T* lender = x.value.row(other);
      cpu::put_gradient(x, i, [&](index_t j) {
        // The gradients of rows that are not selected may be uninitialised and are not read.
        double sum = 0;
        if (own) sum = plans[i].by_x(at(grad_out.row(i), j), at(row, j), at(partner, j));
        if (lent)
          sum += plans[other].by_partner(at(grad_out.row(other), j), at(lender, j), at(row, j));
        return static_cast<C>(sum);
      });
    });
  }

 private:
  template <element T>
  static double weight(const Mix& mix, const random_key& key, index_t i) {
    if constexpr (weighted_mix<Mix>)
      return static_cast<double>(static_cast<compute_t<T>>(detail::draw_weight(mix, key, i)));
    return 0;
  }
};

/// The partner is given by the caller.
template <row_mix Mix, element U>
struct augmentation_on<cpu_context, partnered<Mix, U>> : augmentation_traits<partnered<Mix, U>> {
  using policy_type = partnered<Mix, U>;

  template <element T>
  static void forward(cpu_context& ctx, const policy_type& policy, matrix_view<const T> x,
                      const random_key& key, const row_selection& selection, matrix_view<T> out) {
    cpu::for_each_row(ctx, x.rows(), x.cols(), selection, [&](index_t i, int) {
      detail::row_mix_output(policy.mix, x.row(i), policy.partner.value.row(i), x.cols(),
                             weight(policy, key, i), out.row(i));
    });
  }

  template <element T>
  static void backward(cpu_context& ctx, const policy_type& policy, const operand<T>& x,
                       const random_key& key, const row_selection& selection,
                       matrix_view<const T> grad_out) {
    using C = compute_t<T>;
    if (!x.wants_gradient() && !policy.partner.wants_gradient()) return;
    const index_t cols = x.value.cols();
    const auto at = [](const T* row, index_t j) { return static_cast<double>(load(row[j])); };
    cpu::for_each_row(ctx, x.value.rows(), cols, {}, [&](index_t i, int) {
      if (!selection.contains(i)) {
        cpu::put_gradient(policy.partner, i, [](index_t) { return C{0}; });
        return;
      }
      const T* row = x.value.row(i);
      const T* partner = policy.partner.value.row(i);
      const T* g = grad_out.row(i);
      const gradient_plan plan = detail::plan_gradients(cpu::lane_reduce{}, policy.mix, row,
                                                        partner, g, cols, weight(policy, key, i));
      // The partner first, since x's destination may be grad_out itself.
      cpu::put_gradient(policy.partner, i, [&](index_t j) {
        return static_cast<C>(plan.by_partner(at(g, j), at(row, j), at(partner, j)));
      });
      cpu::put_gradient(x, i, [&](index_t j) {
        return static_cast<C>(plan.by_x(at(g, j), at(row, j), at(partner, j)));
      });
    });
  }

 private:
  static double weight(const policy_type& policy, const random_key& key, index_t i) {
    if constexpr (weighted_mix<Mix>) return static_cast<double>(cpu::weight_of(policy, key, i));
    return 0;
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
