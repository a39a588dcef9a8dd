// multiply_rows: inner products of a row x with other rows y, ⟨x, y⟩ and ‖y‖². write_weighted: the
// weighted sum of x and other rows, a·x + Σ b_k·y_k. Both accumulate in double. An element of y
// costs one load, one conversion to double, and two fma (inner products) or one (weighted sum).
#pragma once

#include "feaug/header_begin.hpp"

#include <concepts>
#include <cstddef>

#include "feaug/core/element.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
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

FEAUG_AVX2 inline row_products multiply_rows_avx2(const float* x, const float* y, index_t cols) {
  __m256d square[2] = {_mm256_setzero_pd(), _mm256_setzero_pd()};
  __m256d product[2] = {_mm256_setzero_pd(), _mm256_setzero_pd()};
  for (index_t j = 0; j < cols; j += 8) {
    for (int half = 0; half < 2; ++half) {
      const __m256d a = _mm256_cvtps_pd(_mm_loadu_ps(x + j + 4 * half));
      const __m256d b = _mm256_cvtps_pd(_mm_loadu_ps(y + j + 4 * half));
      square[half] = _mm256_fmadd_pd(b, b, square[half]);
      product[half] = _mm256_fmadd_pd(a, b, product[half]);
    }
  }
  double lanes[8];
  _mm256_storeu_pd(lanes, square[0] + square[1]);
  _mm256_storeu_pd(lanes + 4, product[0] + product[1]);
  return {.square = (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]),
          .product = (lanes[4] + lanes[5]) + (lanes[6] + lanes[7])};
}

FEAUG_AVX2 inline void add_weighted_avx2(const weighted_rows<float>& rows, index_t cols, bool adds,
                                         float* out) {
  const __m256d own = _mm256_set1_pd(rows.own);
  const __m256d scale = _mm256_set1_pd(rows.scale);
  for (index_t j = 0; j < cols; j += 16) {
    __m256d sums[4];
    FEAUG_UNROLL_REGISTERS
    for (int part = 0; part < 4; ++part)
      sums[part] = own * _mm256_cvtps_pd(_mm_loadu_ps(rows.x + j + 4 * part));
    for (index_t k = 0; k < rows.count; ++k) {
      const float* const other = rows.others[k].data + j;
      const __m256d factor = _mm256_set1_pd(rows.factors[k]);
      FEAUG_UNROLL_REGISTERS
      for (int part = 0; part < 4; ++part) {
        sums[part] =
            _mm256_fmadd_pd(factor, _mm256_cvtps_pd(_mm_loadu_ps(other + 4 * part)), sums[part]);
      }
    }
    FEAUG_UNROLL_REGISTERS
    for (int part = 0; part < 4; ++part) {
      float* const to = out + j + 4 * part;
      __m128 result = _mm256_cvtpd_ps(scale * sums[part]);
      if (adds) result = _mm_loadu_ps(to) + result;
      _mm_storeu_ps(to, result);
    }
  }
}

/// Masked intrinsics with all lanes set: g++ 12 warns in its own headers about the unmasked ones.
FEAUG_AVX512 FEAUG_INLINE __m512d eight_doubles(const float* x) {
  return _mm512_maskz_cvtps_pd(0xFF, _mm256_loadu_ps(x));
}

FEAUG_AVX512 FEAUG_INLINE double sum_of_eight(__m512d x) {
  const __m256d four =
      _mm512_maskz_extractf64x4_pd(0xF, x, 0) + _mm512_maskz_extractf64x4_pd(0xF, x, 1);
  const __m128d two = _mm256_castpd256_pd128(four) + _mm256_extractf128_pd(four, 1);
  return _mm_cvtsd_f64(two) + _mm_cvtsd_f64(_mm_unpackhi_pd(two, two));
}

FEAUG_AVX512 inline row_products multiply_rows_avx512(const float* x, const float* y,
                                                      index_t cols) {
  __m512d square[2] = {_mm512_setzero_pd(), _mm512_setzero_pd()};
  __m512d product[2] = {_mm512_setzero_pd(), _mm512_setzero_pd()};
  for (index_t j = 0; j < cols; j += 16) {
    for (int half = 0; half < 2; ++half) {
      const __m512d a = eight_doubles(x + j + 8 * half);
      const __m512d b = eight_doubles(y + j + 8 * half);
      square[half] = _mm512_fmadd_pd(b, b, square[half]);
      product[half] = _mm512_fmadd_pd(a, b, product[half]);
    }
  }
  return {.square = sum_of_eight(square[0] + square[1]),
          .product = sum_of_eight(product[0] + product[1])};
}

/// x with `Count` rows at once: x is loaded and converted to double once. Sums are accumulated as
/// in multiply_rows_avx512. 4·Count + 2 vector registers hold sums (18 of 32 for Count 4). Returns
/// ‖x‖².
template <int Count>
FEAUG_AVX512 inline double multiply_several_avx512(const float* x, const row_pointer<float>* y,
                                                   index_t cols, row_products* sums) {
  const __m512d zero = _mm512_setzero_pd();
  __m512d own[2] = {zero, zero};
  __m512d square[std::size_t{Count}][2];
  __m512d product[std::size_t{Count}][2];
  FEAUG_UNROLL_REGISTERS
  for (int k = 0; k < Count; ++k)
    square[k][0] = square[k][1] = product[k][0] = product[k][1] = zero;
  for (index_t j = 0; j < cols; j += 16) {
    FEAUG_UNROLL_REGISTERS
    for (int half = 0; half < 2; ++half) {
      const __m512d a = eight_doubles(x + j + 8 * half);
      own[half] = _mm512_fmadd_pd(a, a, own[half]);
      FEAUG_UNROLL_REGISTERS
      for (int k = 0; k < Count; ++k) {
        const __m512d b = eight_doubles(y[k].data + j + 8 * half);
        square[k][half] = _mm512_fmadd_pd(b, b, square[k][half]);
        product[k][half] = _mm512_fmadd_pd(a, b, product[k][half]);
      }
    }
  }
  FEAUG_UNROLL_REGISTERS
  for (int k = 0; k < Count; ++k) {
    sums[k] = {.square = sum_of_eight(square[k][0] + square[k][1]),
               .product = sum_of_eight(product[k][0] + product[k][1])};
  }
  return sum_of_eight(own[0] + own[1]);
}

FEAUG_AVX512 inline void add_weighted_avx512(const weighted_rows<float>& rows, index_t cols,
                                             bool adds, float* out) {
  const __m512d own = _mm512_set1_pd(rows.own);
  const __m512d scale = _mm512_set1_pd(rows.scale);
  for (index_t j = 0; j < cols; j += 16) {
    __m512d sums[2];
    FEAUG_UNROLL_REGISTERS
    for (int half = 0; half < 2; ++half) sums[half] = own * eight_doubles(rows.x + j + 8 * half);
    for (index_t k = 0; k < rows.count; ++k) {
      const float* const other = rows.others[k].data + j;
      const __m512d factor = _mm512_set1_pd(rows.factors[k]);
      FEAUG_UNROLL_REGISTERS
      for (int half = 0; half < 2; ++half)
        sums[half] = _mm512_fmadd_pd(factor, eight_doubles(other + 8 * half), sums[half]);
    }
    FEAUG_UNROLL_REGISTERS
    for (int half = 0; half < 2; ++half) {
      float* const to = out + j + 8 * half;
      __m256 result = _mm512_maskz_cvtpd_ps(0xFF, scale * sums[half]);
      if (adds) result = _mm256_loadu_ps(to) + result;
      _mm256_storeu_ps(to, result);
    }
  }
}

#endif

}  // namespace detail

/// ‖y‖² and ⟨x, y⟩, each summed in double in an order that depends on the instruction set.
template <element T>
row_products multiply_rows(const cpu_context& ctx, const T* x, const T* y, index_t cols) {
  row_products sums;
  index_t done = 0;
#if FEAUG_X86
  if constexpr (std::same_as<T, float>) {
    const instruction_set instructions = usable(ctx.instructions);
    if (instructions != instruction_set::portable) {
      done = in_full_lanes(cols);
      sums = instructions == instruction_set::avx512 ? detail::multiply_rows_avx512(x, y, done)
                                                     : detail::multiply_rows_avx2(x, y, done);
    }
  }
#endif
  static_cast<void>(ctx);
  detail::multiply_rest(x + done, y + done, cols - done, sums);
  return sums;
}

/// The same for x and each of `count` rows. Returns ‖x‖².
template <element T>
double multiply_rows(const cpu_context& ctx, const T* x, const row_pointer<T>* others,
                     index_t count, index_t cols, row_products* sums) {
  index_t k = 0;
  double square = 0;
#if FEAUG_X86
  if constexpr (std::same_as<T, float>) {
    constexpr index_t several = 4;
    const index_t whole = in_full_lanes(cols);
    if (usable(ctx.instructions) == instruction_set::avx512) {
      for (; k + several <= count; k += several) {
        square = detail::multiply_several_avx512<several>(x, others + k, whole, sums + k);
        for (index_t n = k; n < k + several; ++n)
          detail::multiply_rest(x + whole, others[n].data + whole, cols - whole, sums[n]);
      }
    }
    if (k > 0) {
      row_products rest;
      detail::multiply_rest(x + whole, x + whole, cols - whole, rest);
      square += rest.square;
    }
  }
#endif
  if (k == 0) square = multiply_rows(ctx, x, x, cols).square;
  for (; k < count; ++k) sums[k] = multiply_rows(ctx, x, others[k].data, cols);
  return square;
}

/// Writes the weighted sum of rows to `out`, or adds it if `adds`. `out` must not be one of the
/// rows.
template <element T>
void write_weighted(const cpu_context& ctx, const weighted_rows<T>& rows, index_t cols, bool adds,
                    T* out) {
  using C = compute_t<T>;
  index_t j = 0;
#if FEAUG_X86
  if constexpr (std::same_as<T, float>) {
    const instruction_set instructions = usable(ctx.instructions);
    if (instructions != instruction_set::portable) {
      j = in_full_lanes(cols);
      if (instructions == instruction_set::avx512) {
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
