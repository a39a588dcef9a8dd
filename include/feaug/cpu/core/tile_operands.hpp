// The operands of a tile product.
#pragma once

#include "feaug/header_begin.hpp"

#include <cstdint>

#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// Columns of b that are contiguous in a panel.
inline constexpr index_t panel_width = 32;
/// The number of columns of a product is a multiple of this, so that kernels need no edge case.
inline constexpr index_t column_step = 16;

/// Whether and how a product of floats may be computed in bfloat16.
struct bfloat16_pieces {
  int count =
      0;  ///< pieces of bfloat16 of an element: 1, 2 or 3 (bfloat16_product.hpp); 0: it may not
  bool are_all = false;  ///< an element has no more pieces: no product of pieces is left out
  std::uint16_t* scratch = nullptr;  ///< piece_scratch_size(count) elements, aligned to 64 bytes
  /// Element (i, j) of c, which must not be accumulated, is multiplied by row_factors[i] ·
  /// column_factors[j]; null: not.
  const float* row_factors = nullptr;
  const float* column_factors = nullptr;
};

constexpr index_t padded_columns(index_t cols) {
  return (cols + column_step - 1) / column_step * column_step;
}

/// c = a·b, or c += a·b: `rows` × `cols` (a multiple of 16), sums of `depth` terms in order.
/// Limited by FLOP: 2 · rows · cols · depth.
template <class C>
struct tile_product {
  const C* a = nullptr;  ///< element (i, k) is a[i·a_row + k·a_depth]
  index_t a_row = 0;
  index_t a_depth = 0;
  const C* b = nullptr;  ///< element (k, j) is b[(j / 32)·b_panel + k·b_depth + j % 32]
  index_t b_panel = 0;
  index_t b_depth = 0;
  C* c = nullptr;  ///< element (i, j) is c[i·c_row + j]
  index_t c_row = 0;
  index_t rows = 0;
  index_t cols = 0;
  index_t depth = 0;
  bool accumulate = false;
  bfloat16_pieces pieces = {};

  [[nodiscard]] const C* b_at(index_t j) const {
    return b + j / panel_width * b_panel + j % panel_width;
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
