// Rows in the subspace that has most of their energy: a quarter of the features then suffices to
// exclude most rows.
//
// V has nearly orthonormal columns, and r is what they leave of a vector: x = V·Vᵀx + r. Then
//   q·u = Vᵀq · Vᵀu + r_q · r_u  and  |r_q · r_u| ≤ ‖r_q‖‖r_u‖,
// so the product of (Vᵀq, ‖r_q‖) and (Vᵀu, ‖r_u‖) bounds the score q·u from above, and from below if
// 2‖r_q‖‖r_u‖ is subtracted. These vectors have a quarter of the features, and are quantized like
// rows. Features of a trained encoder have most of their energy in few directions; random ones do
// not.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <concepts>
#include <limits>

#include "feaug/core/element.hpp"
#include "feaug/core/finite.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/cpu/core/row_arithmetic.hpp"
#include "feaug/cpu/core/tile_operands.hpp"
#include "feaug/cpu/core/tile_product.hpp"
#include "feaug/cpu/core/workspace.hpp"
#include "feaug/cpu/queue/pruning/dot_in_float.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// A subspace for rows of `cols` features.
struct principal_subspace {
  index_t cols = 0;
  index_t features = 0;               ///< of a projected row: its directions, and the rest's norm
  const float* directions = nullptr;  ///< V: cols × features, the last column is 0
  /// What rounding, and columns that are not quite orthonormal, add to the bounds of a product, by
  /// the norms of its operands.
  double error = 0;

  [[nodiscard]] bool empty() const { return directions == nullptr; }
};

/// The number of features of a projected row: a quarter.
constexpr index_t principal_features(index_t cols) {
  return std::max(column_step, cols / 4 / column_step * column_step);
}

/// Rows that are projected at once: a multiple of those in a block of a product.
inline constexpr index_t projected_rows = 24;

/// One worker's memory.
struct projection_scratch {
  float* rows;       ///< projected_rows × cols
  float* projected;  ///< projected_rows × features
};

inline projection_scratch take_projection_scratch(workspace::scope& scratch, index_t cols) {
  return {.rows = scratch.take<float>(projected_rows * cols),
          .projected = scratch.take<float>(projected_rows * principal_features(cols))};
}

/// Projects `count` rows: projected = (Vᵀu, t), with t ≥ the norm of the rest of u, where u_i =
/// factors[i] · row i. Rows whose norm does not permit this are NaN. Returns the largest t / ‖u‖.
template <element T>
requires std::same_as < compute_t<T>,
float > double project(const principal_subspace& onto, instruction_set instructions,
                       const matrix_view<const T>& rows, index_t first, index_t count,
                       const double* factors, const projection_scratch& scratch) {
  const index_t cols = onto.cols;
  const index_t features = onto.features;
  for (index_t i = 0; i < count; ++i)
    scale_row(instructions, rows.row(first + i), cols, factors[i], scratch.rows + i * cols);
  multiply<float>(instructions, {.a = scratch.rows,
                                 .a_row = cols,
                                 .a_depth = 1,
                                 .b = onto.directions,
                                 .b_panel = panel_width,
                                 .b_depth = features,
                                 .c = scratch.projected,
                                 .c_row = features,
                                 .rows = count,
                                 .cols = features,
                                 .depth = cols});
  double largest = 0;
  for (index_t i = 0; i < count; ++i) {
    const float* const row = scratch.rows + i * cols;
    float* const to = scratch.projected + i * features;
    const double all = dot_in_float(instructions, row, row, cols);
    const double norm = feaug::detail::sqrt(all);
    if (feaug::detail::is_finite(all) && norm >= least_norm_in_float &&
        norm <= largest_norm_in_float) {
      const double rest = all - dot_in_float(instructions, to, to, features);
      const double tail = feaug::detail::sqrt(std::max(rest, 0.0) + onto.error * all);
      largest = std::max(largest, tail / norm);
      // The error above is for the rounding, too.
      to[features - 1] = static_cast<float>(tail);
    } else if (!std::all_of(row, row + cols,
                            [](float x) { return feaug::detail::is_equal(x, 0.0F); })) {
      std::fill_n(to, features, std::numeric_limits<float>::quiet_NaN());
    }
  }
  return largest;
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
