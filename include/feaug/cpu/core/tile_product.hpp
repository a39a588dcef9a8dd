// Products of packed tiles, the hot loop of losses and searches.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <concepts>
#include <cstddef>

#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/bfloat16_product.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/cpu/core/tile_operands.hpp"
#include "feaug/cpu/core/vectors.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

namespace detail {

/// The portable version, the reference for the others.
template <class C>
void multiply_portable(const tile_product<C>& p) {
  constexpr index_t height = 2;
  for (index_t j = 0; j < p.cols; j += column_step) {
    const C* const b = p.b_at(j);
    for (index_t i = 0; i < p.rows; i += height) {
      const index_t count = std::min(height, p.rows - i);
      C sums[height][column_step] = {};
      for (index_t r = 0; p.accumulate && r < count; ++r)
        std::copy_n(p.c + (i + r) * p.c_row + j, column_step, sums[r]);
      for (index_t k = 0; k < p.depth; ++k) {
        const C* const row = b + k * p.b_depth;
        for (index_t r = 0; r < count; ++r) {
          const C factor = p.a[(i + r) * p.a_row + k * p.a_depth];
          for (index_t lane = 0; lane < column_step; ++lane) sums[r][lane] += factor * row[lane];
        }
      }
      for (index_t r = 0; r < count; ++r)
        std::copy_n(sums[r], column_step, p.c + (i + r) * p.c_row + j);
    }
  }
}

#if FEAUG_X86

// NOLINTBEGIN(bugprone-macro-parentheses): the arguments are attributes and type names
// Rows × Vectors sums stay in registers in the loop over depth; each load of b is used Rows times.
#define FEAUG_MULTIPLY_BLOCK(MARK, ISA)                                                       \
  template <class C, int Rows, int Vectors>                                                   \
  MARK inline void multiply_block_##ISA(const tile_product<C>& p, index_t i, index_t j) {     \
    using v = ISA<C>;                                                                         \
    typename v::vector sums[std::size_t{Rows}][std::size_t{Vectors}];                         \
    C* const c = p.c + i * p.c_row + j;                                                       \
    FEAUG_UNROLL_REGISTERS                                                                    \
    for (int r = 0; r < Rows; ++r) {                                                          \
      FEAUG_UNROLL_REGISTERS                                                                  \
      for (int n = 0; n < Vectors; ++n)                                                       \
        sums[r][n] = p.accumulate ? v::load(c + r * p.c_row + n * v::lanes) : v::zero();      \
    }                                                                                         \
    const C* a = p.a + i * p.a_row;                                                           \
    const C* b = p.b_at(j);                                                                   \
    const index_t a_row = p.a_row;                                                            \
    for (index_t k = 0; k < p.depth; ++k, a += p.a_depth, b += p.b_depth) {                   \
      typename v::vector row[std::size_t{Vectors}];                                           \
      FEAUG_UNROLL_REGISTERS                                                                  \
      for (int n = 0; n < Vectors; ++n) row[n] = v::load(b + n * v::lanes);                   \
      FEAUG_UNROLL_REGISTERS                                                                  \
      for (int r = 0; r < Rows; ++r) {                                                        \
        const typename v::vector factor = v::all(a[r * a_row]);                               \
        FEAUG_UNROLL_REGISTERS                                                                \
        for (int n = 0; n < Vectors; ++n) sums[r][n] = v::fused(factor, row[n], sums[r][n]);  \
      }                                                                                       \
    }                                                                                         \
    FEAUG_UNROLL_REGISTERS                                                                    \
    for (int r = 0; r < Rows; ++r) {                                                          \
      FEAUG_UNROLL_REGISTERS                                                                  \
      for (int n = 0; n < Vectors; ++n) v::store(c + r * p.c_row + n * v::lanes, sums[r][n]); \
    }                                                                                         \
  }
FEAUG_MULTIPLY_BLOCK(FEAUG_AVX2, avx2)
FEAUG_MULTIPLY_BLOCK(FEAUG_AVX512, avx512)
#undef FEAUG_MULTIPLY_BLOCK

// All rows of a strip of columns: blocks as tall as registers allow (12 of 16 hold sums with AVX2,
// 24 of 32 with AVX-512), then smaller ones.
#define FEAUG_MULTIPLY(MARK, ISA, REGISTERS, WIDTH)                                              \
  template <class C, int Vectors>                                                                \
  MARK inline void multiply_strip_##ISA(const tile_product<C>& p, index_t j) {                   \
    constexpr int height = (REGISTERS) / Vectors;                                                \
    index_t i = 0;                                                                               \
    for (; i + height <= p.rows; i += height) multiply_block_##ISA<C, height, Vectors>(p, i, j); \
    for (; height > 4 && i + 4 <= p.rows; i += 4) multiply_block_##ISA<C, 4, Vectors>(p, i, j);  \
    for (; height > 2 && i + 2 <= p.rows; i += 2) multiply_block_##ISA<C, 2, Vectors>(p, i, j);  \
    for (; i < p.rows; ++i) multiply_block_##ISA<C, 1, Vectors>(p, i, j);                        \
  }                                                                                              \
  template <class C>                                                                             \
  MARK inline void multiply_##ISA(const tile_product<C>& p) {                                    \
    constexpr int step_vectors = static_cast<int>(column_step) / ISA<C>::lanes;                  \
    index_t j = 0;                                                                               \
    for (; j + (WIDTH) <= p.cols; j += (WIDTH))                                                  \
      multiply_strip_##ISA<C, (WIDTH) / ISA<C>::lanes>(p, j);                                    \
    for (; j < p.cols; j += column_step) multiply_strip_##ISA<C, step_vectors>(p, j);            \
  }
FEAUG_MULTIPLY(FEAUG_AVX2, avx2, 12, 16)
FEAUG_MULTIPLY(FEAUG_AVX512, avx512, 24, 32)
#undef FEAUG_MULTIPLY
// NOLINTEND(bugprone-macro-parentheses)

#endif

}  // namespace detail

/// With depth 0 (rows without features) a and b may be null: only c is accessed.
template <class C>
void multiply(instruction_set instructions, const tile_product<C>& product) {
  if (product.depth == 0) {
    for (index_t i = 0; i < product.rows && !product.accumulate; ++i)
      std::fill_n(product.c + i * product.c_row, product.cols, C(0));
    return;
  }
#if FEAUG_X86
  if constexpr (std::same_as<C, float>) {
    if (detail::multiply_bfloat16(instructions, product)) return;
  }
  if (instructions >= instruction_set::avx512) return detail::multiply_avx512(product);
  if (instructions == instruction_set::avx2) return detail::multiply_avx2(product);
#else
  (void)instructions;
#endif
  detail::multiply_portable(product);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
