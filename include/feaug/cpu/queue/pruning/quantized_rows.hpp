// Rows and queries quantized to 8 bits a feature, with bounds of the quantization error.
//
// A row x is approximated by step · c with integers c of −127 … 127, where step is its largest
// magnitude / 127. For the score s of a query q and a row with direction u (the stored row, or the
// row divided by its norm),
//   |s − q̂·û| ≤ ‖q − q̂‖‖u‖ + ‖q̂‖‖u − û‖,
// where q̂ and û are the dequantized vectors. Everything is in units of the query's step, so a
// query only needs its codes, their norm, and the norm of the quantization error. These norms are
// computed, not estimated; the constants below account for rounding. If an element is NaN or
// infinite, or the largest magnitude is outside 1e-30 … 1e30, the error bound is infinite and the
// row or query is never pruned. A zero vector is represented exactly.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "feaug/core/element.hpp"
#include "feaug/core/elementary.hpp"
#include "feaug/core/finite.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/eight_doubles.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/cpu/core/lanes.hpp"
#include "feaug/cpu/core/vectors.hpp"
#include "feaug/cpu/queue/pruning/tile_shape.hpp"
#include "feaug/queue/queue_shadow.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// The largest D with pruning: sums of products stay below 2³¹, and sums of squares in float are
/// exact enough.
inline constexpr index_t most_pruned_features = 16384;

/// A quantized row x, in units of its step.
struct quantized_row {
  double step = 0;       ///< 0 for a row of zeros
  double length = 0;     ///< ≥ ‖c‖
  double left_over = 0;  ///< ≥ ‖x / step − c‖; infinite if unknown
  std::int32_t sum = 0;  ///< Σ c
};

namespace detail {

// Adding 1.5 · 2²³ rounds to an integer and leaves it in the low bits of the sum.
inline constexpr float to_integer = 12582912.0F;
// A shadow's codes have 128 added: the upper bit of a code is inverted.
inline constexpr std::uint8_t code_offset = 128;

/// Sums over features. Those of integers are exact.
struct quantization_sums {
  double codes = 0;
  double squares = 0;  ///< c²
  double rests = 0;    ///< (x / step − c)²
};

template <class C>
void keep_larger(C& largest, C magnitude) {
  largest = magnitude > largest ? magnitude : largest;
}

/// Codes of `count` features, and their part of the sums.
template <element T>
void quantize_portable(const T* x, index_t count, compute_t<T> inverse, std::uint8_t* codes,
                       quantization_sums& sums) {
  for (index_t j = 0; j < count; ++j) {
    const auto in_steps = static_cast<float>(load(x[j]) * inverse);
    const float shifted = in_steps + to_integer;
    const float whole = shifted - to_integer;
    const float rest = in_steps - whole;
    sums.codes += static_cast<double>(whole);
    sums.squares += static_cast<double>(whole * whole);
    sums.rests += static_cast<double>(rest * rest);
    codes[j] =
        static_cast<std::uint8_t>(std::bit_cast<std::uint32_t>(shifted) & 0xFFU) ^ code_offset;
  }
}

#if FEAUG_X86

/// The largest magnitude of `count` elements, a multiple of 16, ignoring NaN.
template <element T>
FEAUG_AVX2 inline float largest_magnitude_avx2(const T* x, index_t count) {
  const __m256 sign = _mm256_set1_ps(-0.0F);
  __m256 largest[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
  for (index_t j = 0; j < count; j += lane_count) {
    // The second operand is the result if one is NaN.
    largest[0] = _mm256_max_ps(_mm256_andnot_ps(sign, eight_floats(x + j)), largest[0]);
    largest[1] = _mm256_max_ps(_mm256_andnot_ps(sign, eight_floats(x + j + 8)), largest[1]);
  }
  float lanes[8];
  _mm256_storeu_ps(lanes, _mm256_max_ps(largest[0], largest[1]));
  float all = 0;
  for (const float lane : lanes) keep_larger(all, lane);
  return all;
}
FEAUG_AVX2 inline double largest_magnitude_avx2(const double* x, index_t count) {
  const __m256d sign = _mm256_set1_pd(-0.0);
  __m256d largest[2] = {_mm256_setzero_pd(), _mm256_setzero_pd()};
  for (index_t j = 0; j < count; j += 8) {
    largest[0] = _mm256_max_pd(_mm256_andnot_pd(sign, _mm256_loadu_pd(x + j)), largest[0]);
    largest[1] = _mm256_max_pd(_mm256_andnot_pd(sign, _mm256_loadu_pd(x + j + 4)), largest[1]);
  }
  double lanes[4];
  _mm256_storeu_pd(lanes, _mm256_max_pd(largest[0], largest[1]));
  double all = 0;
  for (const double lane : lanes) keep_larger(all, lane);
  return all;
}

/// Eight elements times a factor.
template <element T>
FEAUG_AVX2 FEAUG_INLINE __m256 eight_scaled(const T* x, float factor) {
  return eight_floats(x) * _mm256_set1_ps(factor);
}
FEAUG_AVX2 FEAUG_INLINE __m256 eight_scaled(const double* x, double factor) {
  using v = avx2_eight_doubles;
  return v::to_floats(v::multiply(v::load(x), v::all(factor)));
}

/// The sum of the lanes of two vectors, in double.
FEAUG_AVX2 FEAUG_INLINE double sum_in_double(const __m256 (&x)[2]) {
  const __m256d four = (first_four(x[0]) + last_four(x[0])) + (first_four(x[1]) + last_four(x[1]));
  double lanes[4];
  _mm256_storeu_pd(lanes, four);
  return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
}

/// Like quantize_portable; count is a multiple of 16, at most 256: sums of integers are exact.
/// Limited by 22 instructions for 8 features; AVX-512 would need more to pack the codes.
template <element T>
FEAUG_AVX2 inline void quantize_avx2(const T* x, index_t count, compute_t<T> inverse,
                                     std::uint8_t* codes, quantization_sums& sums) {
  using v = avx2<float>;
  const v::vector shift = v::all(to_integer);
  const __m256i byte = _mm256_set1_epi32(0xFF);
  const __m128i offset = _mm_set1_epi8(static_cast<char>(code_offset));
  v::vector of_codes[2] = {v::zero(), v::zero()};
  v::vector squares[2] = {v::zero(), v::zero()};
  v::vector rests[2] = {v::zero(), v::zero()};
  for (index_t j = 0; j < count; j += lane_count) {
    __m256i bits[2];
    FEAUG_UNROLL_REGISTERS
    for (int half = 0; half < 2; ++half) {
      const v::vector in_steps = eight_scaled(x + j + 8 * half, inverse);
      const v::vector shifted = in_steps + shift;
      const v::vector whole = shifted - shift;
      const v::vector rest = in_steps - whole;
      of_codes[half] = of_codes[half] + whole;
      squares[half] = v::fused(whole, whole, squares[half]);
      rests[half] = v::fused(rest, rest, rests[half]);
      bits[half] = _mm256_and_si256(_mm256_castps_si256(shifted), byte);
    }
    // Packing works within each half of a register: the quarters are put in order afterwards.
    const __m256i words =
        _mm256_permute4x64_epi64(_mm256_packus_epi32(bits[0], bits[1]), 0b11'01'10'00);
    const __m256i bytes =
        _mm256_permute4x64_epi64(_mm256_packus_epi16(words, words), 0b00'00'10'00);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(codes + j),
                     _mm_xor_si128(_mm256_castsi256_si128(bytes), offset));
  }
  sums.codes += sum_in_double(of_codes);
  sums.squares += sum_in_double(squares);
  sums.rests += sum_in_double(rests);
}

#endif

/// The largest magnitude, ignoring NaN.
template <element T>
double largest_magnitude([[maybe_unused]] instruction_set instructions, const T* x, index_t cols) {
  compute_t<T> largest = 0;
  index_t j = 0;
#if FEAUG_X86
  if (instructions != instruction_set::portable) {
    j = in_full_lanes(cols);
    largest = largest_magnitude_avx2(x, j);
  }
#endif
  for (; j < cols; ++j) keep_larger(largest, static_cast<compute_t<T>>(std::fabs(load(x[j]))));
  return static_cast<double>(largest);
}

/// Codes of `count` features, and their part of the sums.
template <element T>
void quantize_features([[maybe_unused]] instruction_set instructions, const T* x, index_t count,
                       compute_t<T> inverse, std::uint8_t* codes, quantization_sums& sums) {
  index_t j = 0;
#if FEAUG_X86
  if (instructions != instruction_set::portable) {
    j = in_full_lanes(count);
    quantize_avx2(x, j, inverse, codes, sums);
  }
#endif
  quantize_portable(x + j, count - j, inverse, codes + j, sums);
}

}  // namespace detail

/// Quantizes x: calls write(group, four codes c + 128) for all features, padded with zeros, and
/// returns the bounds.
template <element T, class Write>
quantized_row quantize_row(instruction_set instructions, const T* x, index_t cols,
                           const Write& write) {
  using C = compute_t<T>;
  constexpr index_t chunk = 256;
  const double largest = detail::largest_magnitude(instructions, x, cols);
  const bool in_range = largest >= 1e-30 && largest <= 1e30;
  const C inverse = in_range ? static_cast<C>(127.0 / largest) : C{1};
  detail::quantization_sums sums;
  for (index_t begin = 0; begin < cols; begin += chunk) {
    const index_t count = std::min(chunk, cols - begin);
    std::uint8_t codes[chunk];
    for (index_t j = count; j % shadow_group != 0; ++j) codes[j] = detail::code_offset;
    detail::quantize_features(instructions, x + begin, count, inverse, codes, sums);
    for (index_t j = 0; j < count; j += shadow_group) write((begin + j) / shadow_group, codes + j);
  }
  quantized_row row = {.step = in_range ? largest / 127.0 : 0.0};
  const double whole = feaug::detail::sqrt(sums.squares);
  const double rest = feaug::detail::sqrt(sums.rests);
  // A sum of up to 1024 floats has a relative error of at most 2⁻¹⁴. An element in units of step
  // has two rounding errors, at most 127 · 3 · 2⁻²⁴ < 2⁻¹⁵.
  row.length = whole * (1.0 + 0x1p-12);
  row.left_over = rest * (1.0 + 0x1p-12) + feaug::detail::sqrt(static_cast<double>(cols)) * 0x1p-15;
  if (in_range && feaug::detail::is_finite(rest)) {
    row.sum = static_cast<std::int32_t>(sums.codes);
    return row;
  }
  // NaN does not affect `largest`, but makes `rest` NaN.
  const bool is_zero = feaug::detail::is_equal(largest, 0) && feaug::detail::is_equal(rest, 0);
  row.length = 0;
  row.left_over = is_zero ? 0 : std::numeric_limits<double>::infinity();
  return row;
}

/// A block of a shadow: codes, and 32 values of each bound.
struct shadow_block {
  std::uint8_t* codes;
  float* scales;   ///< quantization step
  float* lengths;  ///< ≥ ‖û‖ + ‖u − û‖
  float* errors;   ///< ≥ ‖u − û‖
};

/// The part of a shadow that starts at a block.
inline queue_shadow shadow_from(queue_shadow shadow, index_t block, index_t features) {
  shadow.codes.data += block * shadow_block_codes(features);
  shadow.codes.extents[0] -= block * shadow_block_codes(features);
  shadow.bounds.data += block * shadow_block_rows * shadow_row_bounds;
  shadow.bounds.extents[0] -= block * shadow_block_rows * shadow_row_bounds;
  return shadow;
}

inline shadow_block block_of(const queue_shadow& shadow, index_t block, index_t features) {
  const queue_shadow from = shadow_from(shadow, block, features);
  return {.codes = from.codes.data,
          .scales = from.bounds.data,
          .lengths = from.bounds.data + shadow_block_rows,
          .errors = from.bounds.data + 2 * shadow_block_rows};
}

/// Writes a row to a shadow; its direction is row · inverse_norm.
template <element T>
void write_shadow_row(instruction_set instructions, const queue_shadow& shadow, index_t slot,
                      const T* row, index_t cols, double inverse_norm) {
  const shadow_block block = block_of(shadow, slot / shadow_block_rows, cols);
  const index_t lane = slot % shadow_block_rows;
  std::uint8_t* const codes = block.codes + lane * shadow_group;
  const quantized_row coded =
      quantize_row(instructions, row, cols, [codes](index_t group, const std::uint8_t* four) {
        std::memcpy(codes + group * shadow_block_rows * shadow_group, four, shadow_group);
      });
  const double step = coded.step * inverse_norm;
  const double error =
      feaug::detail::is_equal(coded.left_over, 0) ? 0.0 : coded.left_over + coded.length * 0x1p-22;
  const bool is_known = error < std::numeric_limits<double>::infinity() && step <= 1e30;
  // Rounding to float has a relative error of at most 2⁻²⁴; the 2⁻²² of the length above is for the
  // step's rounding.
  constexpr double up = 1.0 + 0x1p-20;
  block.scales[lane] = is_known ? static_cast<float>(step) : 0.0F;
  block.errors[lane] =
      is_known ? static_cast<float>(step * error * up) : std::numeric_limits<float>::infinity();
  block.lengths[lane] = is_known ? static_cast<float>(step * (coded.length + error) * up) : 0.0F;
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
