// Packing of rows for tile products: row-major, and transposed into panels.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <concepts>

#include "feaug/core/element.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/cpu/core/tile_product.hpp"
#include "feaug/cpu/core/widen.hpp"
#include "feaug/cpu/loss/concatenated_rows.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

namespace detail {

/// to = factor · from, rounded once.
template <element T>
void scale_row_portable(const T* from, index_t cols, double factor, compute_t<T>* to) {
  for (index_t j = 0; j < cols; ++j)
    to[j] = static_cast<compute_t<T>>(static_cast<double>(load(from[j])) * factor);
}

/// to[k · 32 + r] = from[r · stride + k] for 16 rows.
template <class C>
void turn_rows_portable(const C* from, index_t stride, index_t depth, C* to) {
  for (index_t k = 0; k < depth; ++k) {
    for (index_t r = 0; r < column_step; ++r) to[k * panel_width + r] = from[r * stride + k];
  }
}

#if FEAUG_X86

template <element T>
FEAUG_AVX2 inline void scale_row_avx2(const T* from, index_t cols, double factor, float* to) {
  const __m256d f = _mm256_set1_pd(factor);
  index_t j = 0;
  for (; j + 8 <= cols; j += 8) {
    const __m256 x = eight_floats(from + j);
    _mm_storeu_ps(to + j, _mm256_cvtpd_ps(first_four(x) * f));
    _mm_storeu_ps(to + j + 4, _mm256_cvtpd_ps(last_four(x) * f));
  }
  scale_row_portable(from + j, cols - j, factor, to + j);
}

template <element T>
FEAUG_AVX512 inline void scale_row_avx512(const T* from, index_t cols, double factor, float* to) {
  constexpr __mmask8 every = 0xFF;
  const __m512d f = _mm512_set1_pd(factor);
  index_t j = 0;
  for (; j + 8 <= cols; j += 8) {
    const __m512d x = _mm512_maskz_cvtps_pd(every, eight_floats(from + j));
    _mm256_storeu_ps(to + j, _mm512_maskz_cvtpd_ps(every, x * f));
  }
  scale_row_portable(from + j, cols - j, factor, to + j);
}

// 8 × 8 transposes in registers: unpack, shuffle, 128-bit permute.
FEAUG_AVX2 inline void turn_rows_avx2(const float* from, index_t stride, index_t depth, float* to) {
  const index_t whole = depth / 8 * 8;
  for (index_t first = 0; first < column_step; first += 8) {
    for (index_t k = 0; k < whole; k += 8) {
      const float* const x = from + first * stride + k;
      __m256 row[8];
      FEAUG_UNROLL_REGISTERS
      for (int r = 0; r < 8; ++r) row[r] = _mm256_loadu_ps(x + r * stride);
      __m256 pair[8];
      FEAUG_UNROLL_REGISTERS
      for (int r = 0; r < 8; r += 2) {
        pair[r] = _mm256_unpacklo_ps(row[r], row[r + 1]);
        pair[r + 1] = _mm256_unpackhi_ps(row[r], row[r + 1]);
      }
      __m256 quarter[8];
      FEAUG_UNROLL_REGISTERS
      for (int r = 0; r < 8; r += 4) {
        quarter[r] = _mm256_shuffle_ps(pair[r], pair[r + 2], 0x44);
        quarter[r + 1] = _mm256_shuffle_ps(pair[r], pair[r + 2], 0xEE);
        quarter[r + 2] = _mm256_shuffle_ps(pair[r + 1], pair[r + 3], 0x44);
        quarter[r + 3] = _mm256_shuffle_ps(pair[r + 1], pair[r + 3], 0xEE);
      }
      float* const y = to + k * panel_width + first;
      FEAUG_UNROLL_REGISTERS
      for (int r = 0; r < 4; ++r) {
        _mm256_storeu_ps(y + r * panel_width,
                         _mm256_permute2f128_ps(quarter[r], quarter[r + 4], 0x20));
        _mm256_storeu_ps(y + (r + 4) * panel_width,
                         _mm256_permute2f128_ps(quarter[r], quarter[r + 4], 0x31));
      }
    }
  }
  for (index_t k = whole; k < depth; ++k) {
    for (index_t r = 0; r < column_step; ++r) to[k * panel_width + r] = from[r * stride + k];
  }
}

#endif

template <element T>
void scale_row([[maybe_unused]] instruction_set instructions, const T* from, index_t cols,
               double factor, compute_t<T>* to) {
#if FEAUG_X86
  if constexpr (!std::same_as<T, double>) {
    if (instructions == instruction_set::avx512) return scale_row_avx512(from, cols, factor, to);
    if (instructions == instruction_set::avx2) return scale_row_avx2(from, cols, factor, to);
  }
#endif
  scale_row_portable(from, cols, factor, to);
}

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

/// Packs rows begin … begin + count − 1 with stride packed_stride(cols). Rows are padded with zeros
/// to the stride, and rows of zeros are added up to a multiple of 16. Limited by memory bandwidth.
template <element T>
void pack_rows(instruction_set instructions, const concatenated_rows<T>& from, index_t begin,
               index_t count, index_t cols, compute_t<T>* to) {
  const index_t stride = packed_stride(cols);
  for (index_t i = 0; i < count; ++i) {
    detail::scale_row(instructions, from.row(begin + i), cols, from.factor(begin + i),
                      to + i * stride);
    std::fill(to + i * stride + cols, to + (i + 1) * stride, compute_t<T>{0});
  }
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

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
