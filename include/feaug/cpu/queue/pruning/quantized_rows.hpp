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

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "feaug/core/element.hpp"
#include "feaug/core/elementary.hpp"
#include "feaug/core/finite.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/lanes.hpp"
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

/// Quantizes x: calls write(group, four codes c + 128) for all features, padded with zeros, and
/// returns the bounds.
template <element T, class Write>
quantized_row quantize_row(const T* x, index_t cols, const Write& write) {
  using C = compute_t<T>;
  constexpr index_t chunk = 256;
  C magnitudes[lane_count] = {};
  const index_t full = in_full_lanes(cols);
  for (index_t j = 0; j < full; j += lane_count) {
    for (index_t lane = 0; lane < lane_count; ++lane) {
      const C magnitude = std::fabs(load(x[j + lane]));
      magnitudes[lane] = magnitude > magnitudes[lane] ? magnitude : magnitudes[lane];
    }
  }
  for (index_t j = full; j < cols; ++j) {
    const C magnitude = std::fabs(load(x[j]));
    magnitudes[0] = magnitude > magnitudes[0] ? magnitude : magnitudes[0];
  }
  const auto largest = static_cast<double>(largest_of(magnitudes, lane_count));
  const bool in_range = largest >= 1e-30 && largest <= 1e30;
  const double step = in_range ? largest / 127.0 : 0.0;
  const C inverse = in_range ? static_cast<C>(127.0 / largest) : C{1};
  // Adding 1.5 · 2²³ rounds to an integer and leaves it in the low bits of the sum.
  constexpr float to_integer = 12582912.0F;
  float squares[lane_count] = {};
  float rests[lane_count] = {};
  std::int32_t sums[lane_count] = {};
  for (index_t begin = 0; begin < cols; begin += chunk) {
    const index_t count = cols - begin < chunk ? cols - begin : chunk;
    const index_t padded = (count + lane_count - 1) / lane_count * lane_count;
    float in_steps[chunk];
    std::uint8_t codes[chunk];
    for_each_in_lanes(
        count, [&](index_t j) { in_steps[j] = static_cast<float>(load(x[begin + j]) * inverse); });
    for (index_t j = count; j < padded; ++j) in_steps[j] = 0;
    for (index_t j = 0; j < padded; j += lane_count) {
      for (index_t lane = 0; lane < lane_count; ++lane) {
        const float shifted = in_steps[j + lane] + to_integer;
        const float whole = shifted - to_integer;
        const float rest = in_steps[j + lane] - whole;
        squares[lane] += whole * whole;
        rests[lane] += rest * rest;
        const auto code =
            static_cast<std::int32_t>((std::bit_cast<std::uint32_t>(shifted) & 0xFFU) ^ 0x80U);
        sums[lane] += code - 128;
        codes[j + lane] = static_cast<std::uint8_t>(code);
      }
    }
    for (index_t j = 0; j < count; j += shadow_group) write((begin + j) / shadow_group, codes + j);
  }
  quantized_row row = {.step = step};
  for (const std::int32_t part : sums) row.sum += part;
  const double whole = feaug::detail::sqrt(sum_of(squares, lane_count));
  const double rest = feaug::detail::sqrt(sum_of(rests, lane_count));
  // A sum of up to 1024 floats has a relative error of at most 2⁻¹⁴. An element in units of step
  // has two rounding errors, at most 127 · 3 · 2⁻²⁴ < 2⁻¹⁵.
  row.length = whole * (1.0 + 0x1p-12);
  row.left_over = rest * (1.0 + 0x1p-12) + feaug::detail::sqrt(static_cast<double>(cols)) * 0x1p-15;
  if (!in_range) {
    // NaN does not affect `largest`, but makes `rest` NaN.
    const bool is_zero = feaug::detail::is_equal(largest, 0) && feaug::detail::is_equal(rest, 0);
    row.length = 0;
    row.left_over = is_zero ? 0 : std::numeric_limits<double>::infinity();
  }
  if (!feaug::detail::is_finite(rest)) {
    row.length = 0;
    row.left_over = std::numeric_limits<double>::infinity();
  }
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
void write_shadow_row(const queue_shadow& shadow, index_t slot, const T* row, index_t cols,
                      double inverse_norm) {
  const shadow_block block = block_of(shadow, slot / shadow_block_rows, cols);
  const index_t lane = slot % shadow_block_rows;
  std::uint8_t* const codes = block.codes + lane * shadow_group;
  const quantized_row coded =
      quantize_row(row, cols, [codes](index_t group, const std::uint8_t* four) {
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
