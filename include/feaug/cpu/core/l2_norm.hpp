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
#include "feaug/cpu/core/row_arithmetic.hpp"
#include "feaug/cpu/core/transpose.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cpu {

namespace detail {

// Rows whose norms are computed at once: a sum in index order is limited by the latency of
// additions.
inline constexpr index_t summed_rows = 8;

/// sums[r] = Σ x² of rows[r], with the bits of row_norm's sum.
template <element T>
void square_sums_portable(const T* const (&rows)[summed_rows], index_t cols,
                          double (&sums)[summed_rows]) {
  for (index_t r = 0; r < summed_rows; r += 4) {
    // Four variables, since compilers leave an array in memory at -O2.
    double first = 0;
    double second = 0;
    double third = 0;
    double fourth = 0;
    for (index_t j = 0; j < cols; ++j) {
      first = exact_multiply_add(first, rows[r][j], rows[r][j]);
      second = exact_multiply_add(second, rows[r + 1][j], rows[r + 1][j]);
      third = exact_multiply_add(third, rows[r + 2][j], rows[r + 2][j]);
      fourth = exact_multiply_add(fourth, rows[r + 3][j], rows[r + 3][j]);
    }
    sums[r] = first;
    sums[r + 1] = second;
    sums[r + 2] = third;
    sums[r + 3] = fourth;
  }
}

#if FEAUG_X86

// NOLINTBEGIN(bugprone-macro-parentheses): the arguments are attributes and type names
// One row in each lane. Products of floats are exact in double, so an fma has the same bits.
#define FEAUG_SQUARE_SUMS(MARK, ISA)                                                  \
  template <element T>                                                                \
  requires(!std::same_as<T, double>) MARK inline void square_sums_##ISA(              \
      const T* const(&rows)[summed_rows], index_t cols, double(&sums)[summed_rows]) { \
    using v = ISA##_eight_doubles;                                                    \
    v::vector sum = v::all(0);                                                        \
    index_t j = 0;                                                                    \
    for (; j + 8 <= cols; j += 8) {                                                   \
      __m256 x[8];                                                                    \
      FEAUG_UNROLL_REGISTERS                                                          \
      for (int r = 0; r < 8; ++r) x[r] = eight_floats(rows[r] + j);                   \
      transpose_eight(x);                                                             \
      FEAUG_UNROLL_REGISTERS                                                          \
      for (int k = 0; k < 8; ++k) {                                                   \
        const v::vector column = v::from_floats(x[k]);                                \
        sum = v::fused(column, column, sum);                                          \
      }                                                                               \
    }                                                                                 \
    v::store(sums, sum);                                                              \
    for (index_t r = 0; r < summed_rows; ++r) {                                       \
      for (index_t rest = j; rest < cols; ++rest)                                     \
        sums[r] = exact_multiply_add(sums[r], rows[r][rest], rows[r][rest]);          \
    }                                                                                 \
  }
FEAUG_SQUARE_SUMS(FEAUG_AVX2, avx2)
FEAUG_SQUARE_SUMS(FEAUG_AVX512, avx512)
#undef FEAUG_SQUARE_SUMS
// NOLINTEND(bugprone-macro-parentheses)

#endif

template <element T>
void square_sums([[maybe_unused]] instruction_set instructions, const T* const (&rows)[summed_rows],
                 index_t cols, double (&sums)[summed_rows]) {
#if FEAUG_X86
  if constexpr (!std::same_as<T, double>) {
    if (instructions >= instruction_set::avx512) return square_sums_avx512(rows, cols, sums);
    if (instructions == instruction_set::avx2) return square_sums_avx2(rows, cols, sums);
  }
#endif
  square_sums_portable(rows, cols, sums);
}

}  // namespace detail

/// inverse[i] = 1 / max(‖x_i‖, eps) for rows begin … begin + count − 1.
template <class T>
void inverse_norms_of(instruction_set instructions, const matrix_view<T>& x, index_t begin,
                      index_t count, double eps, double* inverse) {
  for (index_t i = begin; i < begin + count; i += detail::summed_rows) {
    const index_t some = std::min(detail::summed_rows, begin + count - i);
    const std::remove_const_t<T>* rows[detail::summed_rows];
    for (index_t r = 0; r < detail::summed_rows; ++r) rows[r] = x.row(i + std::min(r, some - 1));
    double sums[detail::summed_rows];
    detail::square_sums<std::remove_const_t<T>>(instructions, rows, x.cols(), sums);
    for (index_t r = 0; r < some; ++r)
      inverse[i + r] = inverse_norm(row_norm_of(sums[r], rows[r], x.cols()), eps);
  }
}

/// The same for all rows.
template <class T>
void inverse_norms(cpu_context& ctx, const matrix_view<T>& x, double eps, double* inverse) {
  const instruction_set instructions = usable(ctx.instructions);
  for_each_row_block(ctx, x.rows(), x.cols(), [&](index_t begin, index_t count, int) {
    inverse_norms_of(instructions, x, begin, count, eps, inverse);
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
void write_gradient(instruction_set instructions, const operand<T>& x, index_t i,
                    const compute_t<T>* gradient) {
  T* const destination = x.gradient.row(i);
  if (x.mode == gradient_mode::overwrite) {
    store_row<false>(instructions, gradient, x.gradient.cols(), destination);
  } else {
    store_row<true>(instructions, gradient, x.gradient.cols(), destination);
  }
}

/// Converts the gradient with respect to unit(x_i) to that with respect to x_i, in place; zero if
/// ‖x‖ ≤ eps.
template <element T>
void unit_backward_row(instruction_set instructions, const T* row, index_t cols, double inverse,
                       double eps, compute_t<T>* gradient) {
  if (has_no_direction(inverse, eps)) {
    std::fill_n(gradient, cols, compute_t<T>{0});
    return;
  }
  const double along = scaled_dot(instructions, row, inverse, gradient, 1.0, cols);
  through_unit_row(instructions, row, cols, inverse, along, gradient);
}

}  // namespace cpu
}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
