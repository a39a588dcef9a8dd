// L2 row normalisation, forward and backward.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <concepts>
#include <type_traits>

#include "feaug/core/element.hpp"
#include "feaug/core/exact_dot.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/cpu/core/parallel.hpp"
#include "feaug/cpu/core/widen.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cpu {

namespace detail {

// Rows whose norms are computed at once: a sum in index order is limited by the latency of
// additions.
inline constexpr index_t summed_rows = 4;

/// sums[r] = Σ x² of row begin + r, for `count` ≤ summed_rows rows, with the bits of row_norm's sum.
template <element T>
void square_sums(instruction_set instructions, const matrix_view<const T>& x, index_t begin,
                 index_t count, double (&sums)[summed_rows]) {
  constexpr index_t chunk = 64;
  double wide[summed_rows][chunk] = {};
  const auto add = [](double sum, double value) {
    if constexpr (std::same_as<T, double>) {
      return exact_multiply_add(sum, value, value);
    } else {
      return sum + value * value;  // exact products, see exact_multiply_add
    }
  };
  // Four variables, since compilers leave an array in memory at -O2.
  double first = 0;
  double second = 0;
  double third = 0;
  double fourth = 0;
  for (index_t done = 0; done < x.cols(); done += chunk) {
    const index_t features = std::min(chunk, x.cols() - done);
    for (index_t r = 0; r < count; ++r) {
      if constexpr (std::same_as<T, double>) {
        std::copy_n(x.row(begin + r) + done, features, wide[r]);
      } else {
        widen(instructions, x.row(begin + r) + done, features, wide[r]);
      }
    }
    for (index_t j = 0; j < features; ++j) {
      first = add(first, wide[0][j]);
      second = add(second, wide[1][j]);
      third = add(third, wide[2][j]);
      fourth = add(fourth, wide[3][j]);
    }
  }
  sums[0] = first;
  sums[1] = second;
  sums[2] = third;
  sums[3] = fourth;
}

}  // namespace detail

/// inverse[i] = 1 / max(‖x_i‖, eps) for all rows.
template <class T>
void inverse_norms(cpu_context& ctx, const matrix_view<T>& x, double eps, double* inverse) {
  const instruction_set instructions = usable(ctx.instructions);
  for_each_row_block(ctx, x.rows(), x.cols(), [&](index_t begin, index_t count, int) {
    for (index_t i = begin; i < begin + count; i += detail::summed_rows) {
      const index_t some = std::min(detail::summed_rows, begin + count - i);
      double sums[detail::summed_rows];
      detail::square_sums<std::remove_const_t<T>>(instructions, x, i, some, sums);
      for (index_t r = 0; r < some; ++r)
        inverse[i + r] = inverse_norm(row_norm_of(sums[r], x.row(i + r), x.cols()), eps);
    }
  });
}

/// out = unit(x) for one row, in two passes; out may be x. All NaN if an element of x is NaN or
/// infinite.
template <element T>
void normalize_row(const T* x, index_t cols, double eps, T* out) {
  const double inverse = inverse_norm(row_norm(x, cols), eps);
  for (index_t j = 0; j < cols; ++j) {
    out[j] = store<T>(static_cast<compute_t<T>>(static_cast<double>(load(x[j])) * inverse));
  }
}

/// Writes a row's gradient to the operand's destination, by overwriting or accumulating.
template <element T>
void write_gradient(const operand<T>& x, index_t i, const compute_t<T>* gradient) {
  T* destination = x.gradient.row(i);
  const index_t cols = x.gradient.cols();
  if (x.mode == gradient_mode::overwrite) {
    for (index_t j = 0; j < cols; ++j) destination[j] = store<T>(gradient[j]);
  } else {
    for (index_t j = 0; j < cols; ++j)
      destination[j] = store<T>(load(destination[j]) + gradient[j]);
  }
}

/// Converts the gradient with respect to unit(x_i) to that with respect to x_i, in place; zero if
/// ‖x‖ ≤ eps.
template <element T>
void unit_backward_row(const T* row, index_t cols, double inverse, double eps,
                       compute_t<T>* gradient) {
  using C = compute_t<T>;
  if (has_no_direction(inverse, eps)) {
    std::fill_n(gradient, cols, C{0});
    return;
  }
  double along = 0;
  for (index_t j = 0; j < cols; ++j) {
    along += static_cast<double>(load(row[j])) * inverse * static_cast<double>(gradient[j]);
  }
  for (index_t j = 0; j < cols; ++j) {
    const double unit = static_cast<double>(load(row[j])) * inverse;
    gradient[j] =
        static_cast<C>(through_unit(static_cast<double>(gradient[j]), unit, along, inverse));
  }
}

}  // namespace cpu
}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
