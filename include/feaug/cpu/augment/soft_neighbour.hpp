// CPU implementation of soft_neighbour: the softmax-weighted mean of the k nearest rows of a
// support as the augmented feature. Besides the search, a row costs three passes over its k
// neighbours, backward one more.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>

#include "feaug/augment/soft_neighbour.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/row_selection.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/augment/augmentation.hpp"
#include "feaug/cpu/augment/l2_normalize.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/l2_norm.hpp"
#include "feaug/cpu/core/rows.hpp"
#include "feaug/cpu/core/workspace.hpp"
#include "feaug/cpu/queue/compare_neighbours.hpp"
#include "feaug/cpu/queue/support_rows.hpp"
#include "feaug/queue/neighbour_softmax.hpp"
#include "feaug/queue/support_rows.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

template <element U>
struct augmentation_on<cpu_context, soft_neighbour_policy<U>>
    : augmentation_traits<soft_neighbour_policy<U>> {
  using policy_type = soft_neighbour_policy<U>;
  using augmentation_traits<policy_type>::name;

  template <element T>
  static void forward(cpu_context& ctx, const policy_type& policy, matrix_view<const T> x,
                      const random_key& /*key*/, const row_selection& selection,
                      matrix_view<T> out) {
    refuse_missing<T>(policy, x, selection);
    const index_t cols = x.cols();
    const matrix_view<const T>& rows = policy.support.rows();
    for_each_row_found(ctx, policy, x, {}, selection, [&](index_t i, const found_row& row, int) {
      const matrix_view<index_t>& indices = policy.binding.indices;
      if (indices.data != nullptr) std::copy_n(row.slots, policy.how.k, indices.row(i));
      if (row.count == 0) {
        cpu::normalize_row(x.row(i), cols, default_norm_eps, out.row(i));
        return;
      }
      const neighbour_softmax softmax = softmax_of(policy, row);
      for (index_t n = 0; n < row.count; ++n)
        row.found[n].factor *= softmax.weight(row.found[n].similarity);
      for (index_t j = 0; j < cols; ++j) {
        out(i, j) = store<T>(
            static_cast<compute_t<T>>(cpu::neighbour_sum<T>(rows, row.found, row.count, j)));
      }
    });
  }

  template <element T>
  static void backward(cpu_context& ctx, const policy_type& policy, const operand<T>& x,
                       const random_key& /*key*/, const row_selection& selection,
                       matrix_view<const T> grad_out) {
    using C = compute_t<T>;
    const index_t cols = x.value.cols();
    const matrix_view<const T>& rows = policy.support.rows();
    const matrix_view<const index_t> given = policy.binding.indices;
    if (given.data == nullptr) {
      refuse_missing<T>(policy, x.value, selection);
    } else {
      check::found_slots(name, policy.support, given, selection);
    }
    workspace::scope scope(ctx.workspace);
    const instruction_set instructions = cpu::usable(ctx.instructions);
    const cpu::row_buffers<C> gradients(ctx, scope, cols);
    const cpu::row_buffers<double> by_weight(ctx, scope, policy.how.k);
    for_each_row_found(
        ctx, policy, x.value, given, selection, [&](index_t i, const found_row& row, int worker) {
          C* const gradient = gradients.of(worker);
          if (row.count == 0) {
            cpu::normalize_row_backward(instructions, x, i, grad_out.row(i), default_norm_eps,
                                        gradient);
            return;
          }
          // out = Σ w_n u_n, so ∂L/∂w_n = g·u_n; the softmax gradient gives ∂L/∂s_n.
          const neighbour_softmax softmax = softmax_of(policy, row);
          double* const slopes = by_weight.of(worker);
          double mean = 0;
          for (index_t n = 0; n < row.count; ++n) {
            const T* v = rows.row(row.found[n].slot);
            slopes[n] = 0;
            for (index_t j = 0; j < cols; ++j) {
              slopes[n] += static_cast<double>(load(grad_out(i, j))) *
                           (static_cast<double>(load(v[j])) * row.found[n].factor);
            }
            mean += softmax.weight(row.found[n].similarity) * slopes[n];
          }
          for (index_t n = 0; n < row.count; ++n) {
            const double weight = softmax.weight(row.found[n].similarity);
            row.found[n].factor *= softmax.slope(weight, slopes[n], mean);
          }
          for (index_t j = 0; j < cols; ++j)
            gradient[j] = static_cast<C>(cpu::neighbour_sum<T>(rows, row.found, row.count, j));
          cpu::unit_backward_row(instructions, x.value.row(i), cols, row.inverse, default_norm_eps,
                                 gradient);
          cpu::write_gradient(instructions, x, i, gradient);
        });
  }

 private:
  /// The neighbours found for a row.
  struct found_row {
    const index_t* slots;  ///< k
    cpu::compared_neighbour* found;
    index_t count;
    double inverse;  ///< 1 / max(‖x_i‖, 1e-12)
  };

  static neighbour_softmax softmax_of(const policy_type& policy, const found_row& row) {
    neighbour_softmax softmax(policy.how.temperature);
    for (index_t n = 0; n < row.count; ++n) softmax.take(row.found[n].similarity);
    return softmax;
  }

  /// Calls work(i, found_row, worker) for every selected row.
  template <element T, class Work>
  static void for_each_row_found(cpu_context& ctx, const policy_type& policy,
                                 const matrix_view<const T>& x,
                                 const matrix_view<const index_t>& given,
                                 const row_selection& selection, const Work& work) {
    const index_t k = policy.how.k;
    const index_t cols = x.cols();
    workspace::scope scope(ctx.workspace);
    const cpu::row_buffers<cpu::compared_neighbour> found(ctx, scope, k);
    cpu::for_each_found<T>(
        ctx, policy.support, x, policy.binding.exclude_ids, k, given,
        [&](index_t first, const matrix_view<const index_t>& slots) {
          cpu::for_each_row(ctx, slots.rows(), (k + 1) * cols, {}, [&](index_t r, int worker) {
            const index_t i = first + r;
            if (!selection.contains(i)) return;
            const double inverse = inverse_norm(row_norm(x.row(i), cols), default_norm_eps);
            const index_t count = cpu::compare_neighbours<T>(
                x.row(i), inverse, policy.support.rows(), slots.row(r), k, found.of(worker));
            work(i, found_row{slots.row(r), found.of(worker), count, inverse}, worker);
          });
        });
  }

  template <class T>
  static void refuse_missing(const policy_type& policy, const matrix_view<const T>& x,
                             const row_selection& selection) {
    if (policy.how.fallback == neighbour_fallback::query) return;
    check::leaves_some<T>(name, policy.support, policy.binding.exclude_ids, x, selection,
                          "a neighbour for every row, or neighbour_fallback::query");
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
