// Packing of rows for tile products: row-major, and transposed into panels.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <cmath>
#include <concepts>

#include "feaug/core/element.hpp"
#include "feaug/core/finite.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/cpu/core/row_arithmetic.hpp"
#include "feaug/cpu/core/tile_product.hpp"
#include "feaug/cpu/core/transpose.hpp"
#include "feaug/cpu/loss/concatenated_rows.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

namespace detail {

/// to[k · 32 + r] = from[r · stride + k] for 16 rows.
template <class C>
void turn_rows_portable(const C* from, index_t stride, index_t depth, C* to) {
  for (index_t k = 0; k < depth; ++k) {
    for (index_t r = 0; r < column_step; ++r) to[k * panel_width + r] = from[r * stride + k];
  }
}

#if FEAUG_X86

FEAUG_AVX2 inline void turn_rows_avx2(const float* from, index_t stride, index_t depth, float* to) {
  const index_t whole = depth / 8 * 8;
  for (index_t first = 0; first < column_step; first += 8) {
    for (index_t k = 0; k < whole; k += 8) {
      const float* const x = from + first * stride + k;
      __m256 row[8];
      FEAUG_UNROLL_REGISTERS
      for (int r = 0; r < 8; ++r) row[r] = _mm256_loadu_ps(x + r * stride);
      transpose_eight(row);
      float* const y = to + k * panel_width + first;
      FEAUG_UNROLL_REGISTERS
      for (int r = 0; r < 8; ++r) _mm256_storeu_ps(y + r * panel_width, row[r]);
    }
  }
  for (index_t k = whole; k < depth; ++k) {
    for (index_t r = 0; r < column_step; ++r) to[k * panel_width + r] = from[r * stride + k];
  }
}

#endif

template <class C>
void turn_rows([[maybe_unused]] instruction_set instructions, const C* from, index_t stride,
               index_t depth, C* to) {
#if FEAUG_X86
  if constexpr (std::same_as<C, float>) {
    // Limited by memory bandwidth: AVX-512 brings no gain.
    if (instructions >= instruction_set::avx2) return turn_rows_avx2(from, stride, depth, to);
  }
#endif
  turn_rows_portable(from, stride, depth, to);
}

}  // namespace detail

/// Stride of packed rows: an odd number of cache lines, so that the same column of many rows does
/// not map to the same few cache sets.
constexpr index_t packed_stride(index_t cols) {
  const index_t lines = padded_columns(cols) / column_step;
  return (lines % 2 == 0 ? lines + 1 : lines) * column_step;
}

/// Number of elements that pack_rows writes.
constexpr index_t packed_size(index_t count, index_t cols) {
  return padded_columns(count) * packed_stride(cols);
}

/// A factor of rows, as a power of two and the rest: rows times a power of two keep their few
/// significant bits. Powers of two, zero and what is not finite stay whole.
struct split_factor {
  double power;
  double rest = 1;

  explicit split_factor(double factor) : power(factor) {
    if (!(factor > 0) || !feaug::detail::is_finite(factor)) return;
    int exponent = 0;
    const double mantissa = std::frexp(factor, &exponent);
    constexpr double of_power = 0.5;
    if (feaug::detail::is_equal(mantissa, of_power)) return;
    rest = mantissa;
    power = std::ldexp(1.0, exponent);
  }
};

/// Packs rows begin … begin + count − 1 with stride packed_stride(cols). Rows are padded with zeros
/// to the stride, and rows of zeros are added up to a multiple of 16. Limited by memory bandwidth.
/// If `rests` is not null, rows are multiplied by the power of two of their factor alone: half and
/// bfloat16 rows are then packed exactly, except for elements below 2⁻¹²⁵ of their row's norm. Row i's
/// rest goes to rests[i], and 0 up to a multiple of 16.
template <element T>
void pack_rows(instruction_set instructions, const concatenated_rows<T>& from, index_t begin,
               index_t count, index_t cols, compute_t<T>* to, compute_t<T>* rests = nullptr) {
  const index_t stride = packed_stride(cols);
  for (index_t i = 0; i < count; ++i) {
    double factor = from.factor(begin + i);
    if (rests != nullptr) {
      const split_factor split(factor);
      factor = split.power;
      rests[i] = static_cast<compute_t<T>>(split.rest);
    }
    scale_row(instructions, from.row(begin + i), cols, factor, to + i * stride);
    std::fill(to + i * stride + cols, to + (i + 1) * stride, compute_t<T>{0});
  }
  if (rests != nullptr) std::fill(rests + count, rests + padded_columns(count), compute_t<T>{0});
  std::fill(to + count * stride, to + padded_columns(count) * stride, compute_t<T>{0});
}

/// Number of elements that turn_into_panels writes.
constexpr index_t panels_size(index_t count, index_t cols) {
  return (padded_columns(count) + panel_width - 1) / panel_width * panel_width * cols;
}

/// Transposes packed rows into the column operand of a product: panels of 32 rows, `cols` deep.
/// Limited by memory bandwidth.
template <class C>
void turn_into_panels(instruction_set instructions, const C* packed, index_t count, index_t cols,
                      C* panels) {
  const index_t stride = packed_stride(cols);
  for (index_t r = 0; r < padded_columns(count); r += column_step) {
    detail::turn_rows(instructions, packed + r * stride, stride, cols,
                      panels + r / panel_width * panel_width * cols + r % panel_width);
  }
}

/// to = rows · columnsᵀ, of packed rows and of columns in panels. Rows of `to` are
/// padded_columns(column_count) apart.
template <class C>
void multiply_by_panels(instruction_set instructions, const C* rows, index_t row_count,
                        const C* panels, index_t column_count, index_t cols, C* to,
                        const bfloat16_pieces& pieces) {
  multiply<C>(instructions, {.a = rows,
                             .a_row = packed_stride(cols),
                             .a_depth = 1,
                             .b = panels,
                             .b_panel = panel_width * cols,
                             .b_depth = panel_width,
                             .c = to,
                             .c_row = padded_columns(column_count),
                             .rows = row_count,
                             .cols = padded_columns(column_count),
                             .depth = cols,
                             .pieces = pieces});
}

/// to += weights · packed rows. Of `weights`, the left operand, its rows and its depth are given; the
/// rows of `to` are as far apart as packed ones.
template <class C>
void add_weighted_packed_rows(instruction_set instructions, tile_product<C> weights,
                              const C* packed, index_t cols, C* to, const bfloat16_pieces& pieces) {
  weights.b = packed;
  weights.b_panel = panel_width;
  weights.b_depth = packed_stride(cols);
  weights.c = to;
  weights.c_row = packed_stride(cols);
  weights.cols = padded_columns(cols);
  weights.accumulate = true;
  weights.pieces = pieces;
  multiply<C>(instructions, weights);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
