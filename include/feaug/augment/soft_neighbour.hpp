// A soft-max mean of the k nearest rows of a support as the augmented feature.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include "feaug/augment/augmentation.hpp"
#include "feaug/augment/l2_normalize.hpp"
#include "feaug/augment/neighbour.hpp"
#include "feaug/core/row_selection.hpp"
#include "feaug/cpu/core/rows.hpp"
#include "feaug/cpu/queue/compare_neighbours.hpp"
#include "feaug/queue/neighbour_soft_max.hpp"
#include "feaug/queue/support_rows.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// out_i = Σ_k softmax(s_k / temperature) · unit(v_k) over the k nearest filled rows v_k of a
/// support, s_k = cos(x_i, v_k); see nearest for what nearest means exactly. The gradient goes
/// through the weights to x and its normalisation; which rows are found, and the rows themselves,
/// are constants. A query with NaN or ∞, and one that finds a row with NaN, becomes a row of NaN.
/// Bind it to a support with soft_neighbour_from.
///
/// The weights are those of SNCLR's soft neighbours (Ge et al., arXiv 2303.17142) with a
/// temperature.
struct soft_neighbour {
  /// Fewer take part where fewer are found because others are excluded.
  index_t k = 5;
  /// Divides the cosines; above 0. Towards 0 the output becomes that of neighbour, whose gradient
  /// is none.
  double temperature = 0.1;
  /// error: a queue with fewer than k filled rows, and a row that finds none, are argument_errors
  /// (on a GPU, which cannot throw, those rows there are, and a row of NaN). query: rows there are
  /// take part, and a row that finds none becomes unit(x), its gradient that of unit(x).
  neighbour_fallback fallback = neighbour_fallback::error;
};

/// What a bound soft_neighbour may be told of, and keep.
template <memory_space Space>
struct basic_soft_neighbour_binding {
  /// N ids: rows of the queue with the query's own id are passed over
  vector_view<const std::int64_t, Space> exclude_ids = {};
  /// N × k: augment writes the found slots here, nearest first, −1 for none, and augment_backward
  /// takes them from here. Without it the backward pass searches again. The support must not change
  /// between the two.
  matrix_view<index_t, Space> indices = {};
};
using soft_neighbour_binding = basic_soft_neighbour_binding<memory_space::host>;

template <element T, memory_space Space = memory_space::host>
struct soft_neighbour_policy {
  support_rows<T, Space> support;
  soft_neighbour how;
  basic_soft_neighbour_binding<Space> binding;
};

/// The augmentation that looks its neighbours up in `queue`.
template <element T, memory_space S>
soft_neighbour_policy<T, S> soft_neighbour_from(
    const support_queue<T, S>& queue, const soft_neighbour& how = {},
    const basic_soft_neighbour_binding<S>& binding = {}) {
  return {.support = queue, .how = how, .binding = binding};
}

/// The same among the rows of any matrix, M × D.
template <class U, memory_space S, class T = std::remove_const_t<U>>
requires element<T> soft_neighbour_policy<T, S> soft_neighbour_from(
    const matrix_view<U, S>& support, const soft_neighbour& how = {},
    const basic_soft_neighbour_binding<S>& binding = {}) {
  return {.support = support, .how = how, .binding = binding};
}

template <element U, memory_space S>
struct augmentation_traits<soft_neighbour_policy<U, S>> : augmentation_defaults {
  using policy_type = soft_neighbour_policy<U, S>;
  static constexpr std::string_view name = "soft_neighbour";
  static constexpr int streams = 0;
  static constexpr bool backward_reads_value = true;

  static void validate(const policy_type& policy, index_t rows, index_t cols) {
    const soft_neighbour& how = policy.how;
    check::valid(name, policy.support, cols, "x");
    check::positive(name, "temperature", how.temperature);
    check::within(name, "k", how.k, 1, policy.support.rows().rows());
    if constexpr (S == memory_space::host) {
      if (how.fallback == neighbour_fallback::error && rows > 0) {
        const index_t filled = policy.support.filled();
        if (filled == 0)
          check::fail(name, "queue", "no filled rows",
                      "at least one, or neighbour_fallback::query");
        check::within(name, "k", how.k, 1, filled);
      }
    }
    check::exclusion(name, policy.support, policy.binding.exclude_ids, rows, "one a row");
    check::writable(name, "indices", policy.binding.indices);
    if (policy.binding.indices.data != nullptr)
      check::has_shape(name, "indices", policy.binding.indices, rows, how.k, "x and k ask for");
  }

  template <class T>
  static void check_forward(const policy_type& policy, const matrix_view<T, S>& out,
                            bool /*alone*/) {
    check::apart(name, "out", out, policy.support.rows_name(), policy.support.rows());
  }

  template <class T>
  static void check_backward(const policy_type& policy, const operand<T, 2, S>& x,
                             const matrix_view<const T, S>& /*grad_out*/) {
    if (x.wants_gradient()) {
      check::apart(name, "gradient of x", x.gradient, policy.support.rows_name(),
                   policy.support.rows());
    }
  }

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
      const neighbour_soft_max soft_max = soft_max_of(policy, row);
      for (index_t n = 0; n < row.count; ++n)
        row.found[n].factor *= soft_max.weight(row.found[n].similarity);
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
    const cpu::row_buffers<C> gradients(ctx, scope, cols);
    const cpu::row_buffers<double> by_weight(ctx, scope, policy.how.k);
    for_each_row_found(
        ctx, policy, x.value, given, selection, [&](index_t i, const found_row& row, int worker) {
          C* const gradient = gradients.of(worker);
          if (row.count == 0) {
            cpu::normalize_row_backward(x, i, grad_out.row(i), default_norm_eps, gradient);
            return;
          }
          // out = Σ w_n u_n, so ∂L/∂w_n = g·u_n, and by the soft-max ∂L/∂s_n.
          const neighbour_soft_max soft_max = soft_max_of(policy, row);
          double* const slopes = by_weight.of(worker);
          double mean = 0;
          for (index_t n = 0; n < row.count; ++n) {
            const T* v = rows.row(row.found[n].slot);
            slopes[n] = 0;
            for (index_t j = 0; j < cols; ++j) {
              slopes[n] += static_cast<double>(load(grad_out(i, j))) *
                           (static_cast<double>(load(v[j])) * row.found[n].factor);
            }
            mean += soft_max.weight(row.found[n].similarity) * slopes[n];
          }
          for (index_t n = 0; n < row.count; ++n) {
            const double weight = soft_max.weight(row.found[n].similarity);
            row.found[n].factor *= soft_max.slope(weight, slopes[n], mean);
          }
          for (index_t j = 0; j < cols; ++j)
            gradient[j] = static_cast<C>(cpu::neighbour_sum<T>(rows, row.found, row.count, j));
          cpu::unit_backward_row(x.value.row(i), cols, row.inverse, default_norm_eps, gradient);
          cpu::write_gradient(x, i, gradient);
        });
  }

 private:
  /// What was found for a row.
  struct found_row {
    const index_t* slots;  ///< k
    cpu::compared_neighbour* found;
    index_t count;
    double inverse;  ///< 1 / max(‖x_i‖, 1e-12)
  };

  static neighbour_soft_max soft_max_of(const policy_type& policy, const found_row& row) {
    neighbour_soft_max soft_max(policy.how.temperature);
    for (index_t n = 0; n < row.count; ++n) soft_max.take(row.found[n].similarity);
    return soft_max;
  }

  /// work(i, found_row, worker) for every selected row.
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
