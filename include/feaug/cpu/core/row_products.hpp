// multiply_rows: inner products of a row x with other rows y, ⟨x, y⟩ and ‖y‖². write_weighted: the
// weighted sum of x and other rows, a·x + Σ b_k·y_k. Both accumulate in double. An element of y
// costs one load, one conversion to double, and two fma (inner products) or one (weighted sum).
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <concepts>
#include <cstddef>

#include "feaug/core/element.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/eight_doubles.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/cpu/core/lanes.hpp"
#include "feaug/cpu/core/vectors.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// ‖y‖² and ⟨x, y⟩.
struct row_products {
  double square = 0;
  double product = 0;
};

template <element T>
struct row_pointer {
  const T* data;
};

/// The row scale · (own · x + Σ_k factors[k] · others[k]), which is not stored.
template <element T>
struct weighted_rows {
  const T* x;
  double own;
  const row_pointer<T>* others;
  const double* factors;
  index_t count;  ///< of `others`
  double scale;

  [[nodiscard]] double at(index_t j) const {
    double sum = own * static_cast<double>(load(x[j]));
    for (index_t k = 0; k < count; ++k)
      sum += factors[k] * static_cast<double>(load(others[k].data[j]));
    return scale * sum;
  }
};

namespace detail {

/// The remaining columns of two rows, added to their sums.
template <element T>
void multiply_rest(const T* x, const T* y, index_t count, row_products& sums) {
  if (count == 0) return;
  const auto at = [](const T* row, index_t j) { return static_cast<double>(load(row[j])); };
  sums.square += sum_of_terms<double>(count, [=](index_t j) { return at(y, j) * at(y, j); });
  sums.product += sum_of_terms<double>(count, [=](index_t j) { return at(x, j) * at(y, j); });
}

#if FEAUG_X86

/// Σ of eight doubles, in an order that is the same for every instruction set.
inline double sum_of_eight(const double (&x)[8]) {
  return ((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + (x[3] + x[7]));
}

// NOLINTBEGIN(bugprone-macro-parentheses): the arguments are attributes and type names
#define FEAUG_ROW_PRODUCTS(MARK, ISA)                                                               \
  MARK inline double sum_of_eight_##ISA(ISA##_eight_doubles::vector x) {                            \
    double lanes[8];                                                                                \
    ISA##_eight_doubles::store(lanes, x);                                                           \
    return sum_of_eight(lanes);                                                                     \
  }                                                                                                 \
  /* x with `Count` rows at once: x is loaded and converted to double once. Sums have two         \
     accumulators each, against the latency of fma. Returns ‖x‖². */ \
  template <int Count, element T>                                                                   \
  MARK inline double multiply_several_##ISA(const T* x, const row_pointer<T>* y, index_t cols,      \
                                            row_products* sums) {                                   \
    using v = ISA##_eight_doubles;                                                                  \
    v::vector own[2] = {v::all(0), v::all(0)};                                                      \
    v::vector square[std::size_t{Count}][2];                                                        \
    v::vector product[std::size_t{Count}][2];                                                       \
    FEAUG_UNROLL_REGISTERS                                                                          \
    for (int k = 0; k < Count; ++k)                                                                 \
      square[k][0] = square[k][1] = product[k][0] = product[k][1] = v::all(0);                      \
    for (index_t j = 0; j < cols; j += 16) {                                                        \
      FEAUG_UNROLL_REGISTERS                                                                        \
      for (int half = 0; half < 2; ++half) {                                                        \
        const v::vector a = v::load(x + j + 8 * half);                                              \
        own[half] = v::fused(a, a, own[half]);                                                      \
        FEAUG_UNROLL_REGISTERS                                                                      \
        for (int k = 0; k < Count; ++k) {                                                           \
          const v::vector b = v::load(y[k].data + j + 8 * half);                                    \
          square[k][half] = v::fused(b, b, square[k][half]);                                        \
          product[k][half] = v::fused(a, b, product[k][half]);                                      \
        }                                                                                           \
      }                                                                                             \
    }                                                                                               \
    FEAUG_UNROLL_REGISTERS                                                                          \
    for (int k = 0; k < Count; ++k) {                                                               \
      sums[k] = {.square = sum_of_eight_##ISA(v::add(square[k][0], square[k][1])),                  \
                 .product = sum_of_eight_##ISA(v::add(product[k][0], product[k][1]))};              \
    }                                                                                               \
    return sum_of_eight_##ISA(v::add(own[0], own[1]));                                              \
  }                                                                                                 \
  template <element T>                                                                              \
  MARK inline void add_weighted_##ISA(const weighted_rows<T>& rows, index_t cols, bool adds,        \
                                      T* out) {                                                     \
    using v = ISA##_eight_doubles;                                                                  \
    const v::vector own = v::all(rows.own);                                                         \
    const v::vector scale = v::all(rows.scale);                                                     \
    for (index_t j = 0; j < cols; j += 16) {                                                        \
      v::vector sums[2];                                                                            \
      FEAUG_UNROLL_REGISTERS                                                                        \
      for (int half = 0; half < 2; ++half)                                                          \
        sums[half] = v::multiply(own, v::load(rows.x + j + 8 * half));                              \
      for (index_t k = 0; k < rows.count; ++k) {                                                    \
        const T* const other = rows.others[k].data + j;                                             \
        const v::vector factor = v::all(rows.factors[k]);                                           \
        FEAUG_UNROLL_REGISTERS                                                                      \
        for (int half = 0; half < 2; ++half)                                                        \
          sums[half] = v::fused(factor, v::load(other + 8 * half), sums[half]);                     \
      }                                                                                             \
      FEAUG_UNROLL_REGISTERS                                                                        \
      for (int half = 0; half < 2; ++half) {                                                        \
        T* const to = out + j + 8 * half;                                                           \
        __m256 result = v::to_floats(v::multiply(scale, sums[half]));                               \
        if (adds) result = eight_floats(to) + result;                                               \
        store_eight(to, result);                                                                    \
      }                                                                                             \
    }                                                                                               \
  }
FEAUG_ROW_PRODUCTS(FEAUG_AVX2, avx2)
FEAUG_ROW_PRODUCTS(FEAUG_AVX512, avx512)
#undef FEAUG_ROW_PRODUCTS
// NOLINTEND(bugprone-macro-parentheses)

#endif

}  // namespace detail

/// ‖y‖² and ⟨x, y⟩ for x and each of `count` ≥ 1 rows y, summed in double in an order that depends on
/// the instruction set. Returns ‖x‖².
template <element T>
double multiply_rows(const cpu_context& ctx, const T* x, const row_pointer<T>* others,
                     index_t count, index_t cols, row_products* sums) {
  row_products own;
  index_t whole = 0;
#if FEAUG_X86
  if constexpr (!std::same_as<T, double>) {
    const instruction_set instructions = usable(ctx.instructions);
    if (instructions != instruction_set::portable) {
      whole = in_full_lanes(cols);
      index_t k = 0;
      if (instructions >= instruction_set::avx512) {
        // 4·4 + 2 of 32 registers hold sums.
        for (; k + 4 <= count; k += 4)
          own.square = detail::multiply_several_avx512<4>(x, others + k, whole, sums + k);
        for (; k < count; ++k)
          own.square = detail::multiply_several_avx512<1>(x, others + k, whole, sums + k);
      } else {
        for (; k < count; ++k)
          own.square = detail::multiply_several_avx2<1>(x, others + k, whole, sums + k);
      }
    }
  }
#endif
  if (whole == 0) std::fill_n(sums, count, row_products{});
  static_cast<void>(ctx);
  detail::multiply_rest(x + whole, x + whole, cols - whole, own);
  for (index_t k = 0; k < count; ++k)
    detail::multiply_rest(x + whole, others[k].data + whole, cols - whole, sums[k]);
  return own.square;
}

/// Writes the weighted sum of rows to `out`, or adds it if `adds`. `out` must not be one of the
/// rows.
template <element T>
void write_weighted(const cpu_context& ctx, const weighted_rows<T>& rows, index_t cols, bool adds,
                    T* out) {
  using C = compute_t<T>;
  index_t j = 0;
#if FEAUG_X86
  if constexpr (!std::same_as<T, double>) {
    const instruction_set instructions = usable(ctx.instructions);
    if (instructions != instruction_set::portable) {
      j = in_full_lanes(cols);
      if (instructions >= instruction_set::avx512) {
        detail::add_weighted_avx512(rows, j, adds, out);
      } else {
        detail::add_weighted_avx2(rows, j, adds, out);
      }
    }
  }
#endif
  static_cast<void>(ctx);
  for (; j < cols; ++j) {
    const auto value = static_cast<C>(rows.at(j));
    out[j] = store<T>(adds ? load(out[j]) + value : value);
  }
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
