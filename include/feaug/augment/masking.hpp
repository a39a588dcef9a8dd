// What all masks share: out = x ⊙ keep, rescaled or not. Each mask only says which elements of a row it keeps.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include "feaug/augment/augmentation.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// What makes up for the dropped elements of a row.
enum class rescale {
  none,  ///< nothing
  row,   ///< kept elements are multiplied by D / max(number kept in the row, 1)
};

/// A policy that fills a row with 1 where an element is kept and 0 where it is dropped.
template <class P>
concept masking = requires(const P& policy, const random_key& key, index_t n, float* keep,
                           std::uint64_t* order) {
  { policy.rescale } -> std::convertible_to<feaug::rescale>;
  policy.check(n, n);
  policy.keep_row(key, n, n, keep, order);
  P::orders_columns;
};

/// x ⊙ keep: a dropped NaN or infinity still shows as NaN, as the formula has it. The gradient is g ⊙ keep, times the same
/// factor. Scratch: D numbers a thread, and D 64-bit words more for a mask that orders the columns.
template <masking P>
struct augmentation_traits<P> : augmentation_defaults {
  static constexpr std::string_view name = P::name;
  static constexpr int streams = P::streams;

  static void check(const P& policy, index_t rows, index_t cols) { policy.check(rows, cols); }

  template <class T>
  static void check_forward(const P& policy, const matrix_view<T>& out, bool /*alone*/) {
    if constexpr (requires { policy.keep; }) check::apart(name, "out", out, "keep", policy.keep);
  }
  template <class T>
  static void check_backward(const P& policy, const operand<T>& x,
                             const matrix_view<const T>& /*grad_out*/) {
    if constexpr (requires { policy.keep; }) {
      if (x.wants_gradient()) check::apart(name, "gradient of x", x.gradient, "keep", policy.keep);
    }
  }

  template <element T>
  static void forward(cpu_context& ctx, const P& policy, matrix_view<const T> x,
                      const random_key& key, const row_selection& rows, matrix_view<T> out) {
    for_each_factor_row<compute_t<T>>(
        ctx, policy, key, x.rows(), x.cols(), rows, [&](index_t i, const auto* factors) {
          const T* value = x.row(i);
          T* result = out.row(i);
          for (index_t j = 0; j < x.cols(); ++j) {
            result[j] = store<T>(load(value[j]) * factors[j]);
          }
        });
  }

  template <element T>
  static void backward(cpu_context& ctx, const P& policy, const operand<T>& x,
                       const random_key& key, const row_selection& rows,
                       matrix_view<const T> grad_out) {
    for_each_factor_row<compute_t<T>>(
        ctx, policy, key, x.value.rows(), x.value.cols(), rows,
        [&](index_t i, const auto* factors) {
          const T* gradient = grad_out.row(i);
          cpu::put_gradient(x, i, [&](index_t j) { return load(gradient[j]) * factors[j]; });
        });
  }

  /// work(i, what each element of row i is multiplied by) for every selected row.
  template <class C, class Work>
  static void for_each_factor_row(cpu_context& ctx, const P& policy, const random_key& key,
                                  index_t rows, index_t cols, const row_selection& selection,
                                  const Work& work) {
    for_each_keep_row<C>(ctx, policy, key, rows, cols, selection, [&](index_t i, C* keep) {
      if (policy.rescale == rescale::row) {
        double kept = 0;
        for (index_t j = 0; j < cols; ++j) kept += static_cast<double>(keep[j]);
        const auto factor = static_cast<C>(static_cast<double>(cols) / std::max(kept, 1.0));
        for (index_t j = 0; j < cols; ++j) keep[j] *= factor;
      }
      work(i, keep);
    });
  }

  /// work(i, the mask's row i) for every selected row.
  template <class C, class Work>
  static void for_each_keep_row(cpu_context& ctx, const P& policy, const random_key& key,
                                index_t rows, index_t cols, const row_selection& selection,
                                const Work& work) {
    workspace::scope scope(ctx.workspace);
    const cpu::row_buffers<C> keeps(ctx, scope, cols);
    const cpu::row_buffers<std::uint64_t> orders(ctx, scope, P::orders_columns ? cols : 0);
    cpu::for_each_row(ctx, rows, cols, selection, [&](index_t i, int worker) {
      policy.keep_row(key, i, cols, keeps.of(worker), orders.of(worker));
      work(i, keeps.of(worker));
    });
  }
};

/// Writes a mask's own draw to keep (N×D): 1 where an element is kept, 0 where it is dropped. augment with
/// drawn_mask(keep, policy.rescale) gives the same bits as with the policy and the key.
template <masking P, element T>
void draw(cpu_context& ctx, const P& policy, const random_key& key, matrix_view<T> keep) {
  using traits = augmentation_traits<P>;
  check::writable(traits::name, "keep", keep);
  check::usable(traits::name, key, keep.rows(), keep.cols(), traits::streams);
  policy.check(keep.rows(), keep.cols());
  if (keep.empty()) return;
  traits::template for_each_keep_row<compute_t<T>>(
      ctx, policy, key, keep.rows(), keep.cols(), row_selection{},
      [&](index_t i, const auto* row) {
        T* destination = keep.row(i);
        for (index_t j = 0; j < keep.cols(); ++j) destination[j] = store<T>(row[j]);
      });
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
