// Directions with most of the energy of some rows, by subspace iteration.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>

#include "feaug/core/l2_norm.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/cpu/core/lanes.hpp"
#include "feaug/cpu/core/tile_operands.hpp"
#include "feaug/cpu/core/tile_product.hpp"
#include "feaug/cpu/core/workspace.hpp"
#include "feaug/cpu/queue/pruning/dot_in_float.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

namespace detail {

/// Makes the columns of a (rows × cols, `stride` apart) orthonormal by Gram–Schmidt, twice. `x` has
/// rows · cols elements.
inline void orthonormalize_columns(float* a, index_t rows, index_t cols, index_t stride,
                                   double* x) {
  for (index_t j = 0; j < cols; ++j) {
    double* const own = x + j * rows;
    for (index_t i = 0; i < rows; ++i) own[i] = static_cast<double>(a[i * stride + j]);
    constexpr int rounds = 2;
    for (int round = 0; round < rounds; ++round) {
      for (index_t k = 0; k < j; ++k) {
        const double* const other = x + k * rows;
        const double along =
            sum_of_terms<double>(rows, [=](index_t i) { return own[i] * other[i]; });
        for (index_t i = 0; i < rows; ++i) own[i] -= along * other[i];
      }
    }
    const double square = sum_of_terms<double>(rows, [=](index_t i) { return own[i] * own[i]; });
    // A column that depends on the others becomes 0, and then contributes nothing.
    const double inverse = square > 0 ? 1.0 / feaug::detail::sqrt(square) : 0.0;
    for (index_t i = 0; i < rows; ++i) {
      own[i] *= inverse;
      a[i * stride + j] = static_cast<float>(own[i]);
    }
  }
}

/// ‖VᵀV − 1‖, by Frobenius, of the first `cols` columns; columns of zeros count as if they were not
/// there.
inline double distance_from_orthonormal(const float* v, index_t rows, index_t cols,
                                        index_t stride) {
  double sum = 0;
  for (index_t j = 0; j < cols; ++j) {
    for (index_t k = 0; k <= j; ++k) {
      double product = 0;
      for (index_t i = 0; i < rows; ++i)
        product += static_cast<double>(v[i * stride + j]) * static_cast<double>(v[i * stride + k]);
      const bool is_used = j != k || product > 0;
      const double off = product - (j == k && is_used ? 1.0 : 0.0);
      sum += (j == k ? 1.0 : 2.0) * off * off;
    }
  }
  return feaug::detail::sqrt(sum);
}

/// Σ cosine² over the pairs of some rows, as a mean: at least (share of the energy)² / n if n
/// directions have this share.
inline double mean_square_cosine(instruction_set instructions, const float* unit_rows,
                                 index_t count, index_t stride, index_t cols) {
  double sum = 0;
  for (index_t i = 0; i < count; ++i) {
    for (index_t j = 0; j < i; ++j) {
      const double cosine =
          dot_in_float(instructions, unit_rows + i * stride, unit_rows + j * stride, cols);
      sum += cosine * cosine;
    }
  }
  return 2 * sum / static_cast<double>(count * (count - 1));
}

/// v's columns, mixed by a part of a Hadamard matrix, so that no feature of projected rows is much
/// larger than the others: codes have one step for all.
inline void mix_columns(instruction_set instructions, const float* v, index_t rows,
                        index_t features, float* signs, float* mixed) {
  for (index_t i = 0; i < features; ++i) {
    for (index_t j = 0; j < features; ++j) {
      const auto common = static_cast<std::uint64_t>(i) & static_cast<std::uint64_t>(j);
      const bool is_last = j + 1 == features;
      signs[i * features + j] = is_last ? 0.0F : std::popcount(common) % 2 == 0 ? 1.0F : -1.0F;
    }
  }
  multiply<float>(instructions, {.a = v,
                                 .a_row = features,
                                 .a_depth = 1,
                                 .b = signs,
                                 .b_panel = panel_width,
                                 .b_depth = features,
                                 .c = mixed,
                                 .c_row = features,
                                 .rows = rows,
                                 .cols = features,
                                 .depth = features});
}

/// Directions with most of the energy of `count` sampled rows, by two steps of subspace iteration.
/// Writes `directions`, cols × features, and returns ‖VᵀV − 1‖.
inline double iterate_subspace(instruction_set instructions, workspace::scope& scratch,
                               const float* sample, index_t count, index_t cols, index_t features,
                               float* directions) {
  const index_t used = features - 1;
  auto* const along = scratch.take<float>(std::max(count, cols) * features);
  auto* const signs = scratch.take<float>(features * features);
  auto* const columns = scratch.take<double>(used * cols);
  for (index_t k = 0; k < cols; ++k) {
    for (index_t j = 0; j < used; ++j) directions[k * features + j] = sample[j * cols + k];
    directions[k * features + used] = 0;
  }
  constexpr int steps = 2;
  for (int step = 0; step < steps; ++step) {
    multiply<float>(instructions, {.a = sample,
                                   .a_row = cols,
                                   .a_depth = 1,
                                   .b = directions,
                                   .b_panel = panel_width,
                                   .b_depth = features,
                                   .c = along,
                                   .c_row = features,
                                   .rows = count,
                                   .cols = features,
                                   .depth = cols});
    multiply<float>(instructions, {.a = sample,
                                   .a_row = 1,
                                   .a_depth = cols,
                                   .b = along,
                                   .b_panel = panel_width,
                                   .b_depth = features,
                                   .c = directions,
                                   .c_row = features,
                                   .rows = cols,
                                   .cols = features,
                                   .depth = count});
    orthonormalize_columns(directions, cols, used, features, columns);
  }
  mix_columns(instructions, directions, cols, features, signs, along);
  std::copy_n(along, cols * features, directions);
  orthonormalize_columns(directions, cols, used, features, columns);
  return distance_from_orthonormal(directions, cols, used, features);
}

}  // namespace detail

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
