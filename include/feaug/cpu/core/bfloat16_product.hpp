// Tile products by instructions that multiply bfloat16 and add in float: AMX, at ten times and more
// the rate of vectors of floats, and AVX-512's vdpbf16ps, at twice that rate.
//
// Operands are floats. Each is split into pieces of 8 significant bits: x = x₀ + x₁ + x₂ exactly, so
//     a·b = Σ a_p·b_q over p + q < pieces,
// up to 2⁻⁸ of the last kept piece: three pieces (six products) give the accuracy of float products,
// two pieces (three products) 16 significant bits, one piece rounds the operands to bfloat16.
// Elements that have no more pieces are multiplied exactly, in one or four products.
//
// Each product of pieces is exact. These instructions round their sums to nearest and take subnormal
// numbers as 0, whatever the floating-point environment says; elements below 2⁻¹¹⁰ therefore lose
// pieces. An infinite element of several pieces gives NaN.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/amx_tiles.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/cpu/core/tile_operands.hpp"
#include "feaug/cpu/core/transpose.hpp"
#include "feaug/cpu/core/vectors.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

namespace detail {

// A tile of a split operand: 16 rows of 64 bytes. Of a: 16 rows of 32 elements. Of b: 16 columns,
// whose elements k and k + 1 are adjacent, of 32 rows.
inline constexpr index_t split_side = 16;
inline constexpr index_t split_depth = 32;
inline constexpr index_t split_tile = split_side * split_depth;
// What is split at once: all of b's columns up to split_cols, and two tiles of a's rows.
inline constexpr index_t split_chunk = 128;  ///< of the depth
inline constexpr index_t split_cols = 256;
inline constexpr index_t split_a_tiles = 2 * split_chunk / split_depth;
inline constexpr index_t split_b_tiles = split_cols / split_side * split_chunk / split_depth;

}  // namespace detail

/// Elements of scratch for a product in `pieces` pieces: at most 216 KiB.
constexpr index_t piece_scratch_size(int pieces) {
  return pieces * (detail::split_a_tiles + detail::split_b_tiles) * detail::split_tile;
}

/// Whether products of this depth gain by pieces.
constexpr bool gains_by_pieces(index_t depth) { return depth >= detail::split_depth / 2; }

#if FEAUG_X86
namespace detail {

// NOLINTBEGIN(readability-magic-numbers): bits of floats, sizes of tiles
/// The next piece of x, as a float with 16 zero bits at the end; `x` becomes the rest. Pieces are
/// rounded, half away from 0: what is left out then has either sign.
FEAUG_AVX512 FEAUG_INLINE __m512i take_piece(__m512& x, bool is_last) {
  const __m512i bits = _mm512_castps_si512(x);
  const __m512i half = _mm512_set1_epi32(0x8000);
  __m512i rounded = _mm512_add_epi32(bits, half);
  if (is_last) {
    // A NaN stays one: no carry reaches its sign, and no bit is lost. In earlier pieces it may get
    // lost, since the rest is NaN, too.
    const __m512i size = _mm512_and_si512(bits, _mm512_set1_epi32(0x7FFFFFFF));
    const __mmask16 is_number = _mm512_cmple_epu32_mask(size, _mm512_set1_epi32(0x7F800000));
    const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
    rounded = _mm512_mask_blend_epi32(is_number, quiet, rounded);
  }
  const __m512i piece = _mm512_and_si512(rounded, _mm512_set1_epi32(static_cast<int>(0xFFFF0000U)));
  x = x - _mm512_castsi512_ps(piece);
  return piece;
}

/// The upper 16 bits of every 32, as the lower ones. g++ 12 warns of the unmasked shift.
FEAUG_AVX512 FEAUG_INLINE __m512i upper_half(__m512i bits) {
  constexpr __mmask16 all = 0xFFFF;
  return _mm512_maskz_srli_epi32(all, bits, 16);
}

/// Stores the pieces of pairs (x, y): x in the lower half of each 32 bits.
template <int Pieces>
FEAUG_AVX512 FEAUG_INLINE void store_pieces(__m512 x, __m512 y, std::uint16_t* to,
                                            index_t piece_stride) {
  FEAUG_UNROLL_REGISTERS
  for (int p = 0; p < Pieces; ++p) {
    const __m512i lower = upper_half(take_piece(x, p + 1 == Pieces));
    const __m512i upper = take_piece(y, p + 1 == Pieces);
    _mm512_store_si512(to + p * piece_stride, _mm512_or_si512(lower, upper));
  }
}

FEAUG_AVX512 FEAUG_INLINE __mmask16 first_lanes(index_t count) {
  return static_cast<__mmask16>((1U << static_cast<unsigned>(std::clamp<index_t>(count, 0, 16))) -
                                1U);
}

/// A tile of b from row-major data: 16 columns, `depth` ≤ 32 rows; the others are 0.
template <int Pieces>
FEAUG_AVX512 inline void split_columns(const float* b, index_t b_depth, index_t depth,
                                       std::uint16_t* to, index_t piece_stride) {
  for (index_t k = 0; k < split_depth; k += 2, to += split_depth) {
    const __m512 x = k < depth ? _mm512_loadu_ps(b + k * b_depth) : _mm512_setzero_ps();
    const __m512 y = k + 1 < depth ? _mm512_loadu_ps(b + (k + 1) * b_depth) : _mm512_setzero_ps();
    store_pieces<Pieces>(x, y, to, piece_stride);
  }
}

/// A tile of a from row-major data: `rows` ≤ 16 rows of `depth` ≤ 32 elements; the others are 0.
template <int Pieces>
FEAUG_AVX512 inline void split_rows(const float* a, index_t a_row, index_t rows, index_t depth,
                                    std::uint16_t* to, index_t piece_stride) {
  const __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
  const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
  const __mmask16 front = first_lanes(depth);
  const __mmask16 back = first_lanes(depth - 16);
  for (index_t i = 0; i < split_side; ++i, to += split_depth) {
    const __mmask16 is_row = first_lanes(i < rows ? 16 : 0);
    const float* const row = a + std::min(i, rows - 1) * a_row;
    const __m512 x = _mm512_maskz_loadu_ps(front & is_row, row);
    const __m512 y = _mm512_maskz_loadu_ps(back & is_row, row + 16);
    store_pieces<Pieces>(_mm512_permutex2var_ps(x, even, y), _mm512_permutex2var_ps(x, odd, y), to,
                         piece_stride);
  }
}

/// Transposes 16 × 16 numbers of 32 bits.
FEAUG_AVX512 inline void transpose_sixteen(std::uint16_t* tile) {
  auto* const x = reinterpret_cast<float*>(tile);
  for (index_t top = 0; top < 16; top += 8) {
    for (index_t left = 0; left <= top; left += 8) {
      __m256 block[8];
      __m256 mirror[8];
      FEAUG_UNROLL_REGISTERS
      for (int r = 0; r < 8; ++r) block[r] = _mm256_loadu_ps(x + (top + r) * 16 + left);
      FEAUG_UNROLL_REGISTERS
      for (int r = 0; r < 8; ++r) mirror[r] = _mm256_loadu_ps(x + (left + r) * 16 + top);
      transpose_eight(block);
      transpose_eight(mirror);
      FEAUG_UNROLL_REGISTERS
      for (int r = 0; r < 8; ++r) _mm256_storeu_ps(x + (left + r) * 16 + top, block[r]);
      FEAUG_UNROLL_REGISTERS
      for (int r = 0; r < 8; ++r) _mm256_storeu_ps(x + (top + r) * 16 + left, mirror[r]);
    }
  }
}

/// A tile of a from column-major data.
template <int Pieces>
FEAUG_AVX512 inline void split_turned_rows(const float* a, index_t a_depth, index_t rows,
                                           index_t depth, std::uint16_t* to, index_t piece_stride) {
  const __mmask16 is_row = first_lanes(rows);
  for (index_t k = 0; k < split_depth; k += 2) {
    const __mmask16 first = k < depth ? is_row : first_lanes(0);
    const __mmask16 second = k + 1 < depth ? is_row : first_lanes(0);
    const float* const from = a + std::min(k, depth - 1) * a_depth;
    const __m512 x = _mm512_maskz_loadu_ps(first, from);
    const __m512 y = _mm512_maskz_loadu_ps(second, from + (k + 1 < depth ? a_depth : 0));
    store_pieces<Pieces>(x, y, to + k / 2 * split_depth, piece_stride);
  }
  for (int p = 0; p < Pieces; ++p) transpose_sixteen(to + p * piece_stride);
}

/// Two tiles each of a and b, and those after them in the depth.
struct split_block {
  const std::uint16_t* a[2];
  const std::uint16_t* b[2];
  index_t steps;  ///< of the depth; their tiles are adjacent
};

/// A block of c: 32 columns, `rows` ≤ 32 rows that are `row` apart.
struct block_of_sums {
  float* c;
  index_t row;
  index_t rows;
  bool accumulate;
};

#if FEAUG_AMX_COMPILES
/// Multiplies blocks by AMX.
struct amx_blocks {
  FEAUG_AMX static void begin() {
    static constexpr amx_tiles tiles;
    _tile_loadconfig(&tiles);
  }
  FEAUG_AMX static void end() { _tile_release(); }

  /// Writes 32 rows. Tiles 0 … 3 hold c, 4 and 5 a, 6 and 7 b.
  template <int Pieces, bool AreAll>
  FEAUG_AMX static void multiply(const split_block& block, const block_of_sums& sums) {
    float* const c = sums.c;
    const index_t c_row = sums.row;
    const index_t c_bytes = c_row * static_cast<index_t>(sizeof(float));
    constexpr index_t bytes = 64;
    // g++'s tile loads do not say that they read memory.
    __asm__ volatile("" : : : "memory");
    if (sums.accumulate) {
      _tile_loadd(0, c, c_bytes);
      _tile_loadd(1, c + 16, c_bytes);
      _tile_loadd(2, c + 16 * c_row, c_bytes);
      _tile_loadd(3, c + 16 * c_row + 16, c_bytes);
    } else {
      _tile_zero(0);
      _tile_zero(1);
      _tile_zero(2);
      _tile_zero(3);
    }
    for (index_t step = 0; step < block.steps; ++step) {
      // The small products first, before the sums of this step are large.
      for (int p = Pieces - 1; p >= 0; --p) {
        const index_t of_a = (p * split_a_tiles + step) * split_tile;
        _tile_loadd(4, block.a[0] + of_a, bytes);
        _tile_loadd(5, block.a[1] + of_a, bytes);
        for (int q = Pieces - (AreAll ? 1 : 1 + p); q >= 0; --q) {
          const index_t of_b = (q * split_b_tiles + step) * split_tile;
          _tile_loadd(6, block.b[0] + of_b, bytes);
          _tile_loadd(7, block.b[1] + of_b, bytes);
          _tile_dpbf16ps(0, 4, 6);
          _tile_dpbf16ps(1, 4, 7);
          _tile_dpbf16ps(2, 5, 6);
          _tile_dpbf16ps(3, 5, 7);
        }
      }
    }
    _tile_stored(0, c, c_bytes);
    _tile_stored(1, c + 16, c_bytes);
    _tile_stored(2, c + 16 * c_row, c_bytes);
    _tile_stored(3, c + 16 * c_row + 16, c_bytes);
  }
};
#endif

/// Multiplies blocks by AVX-512.
struct vector_blocks {
  static constexpr int rows_at_once = 8;

  static void begin() {}
  static void end() {}

  /// Writes a multiple of 8 rows.
  template <int Pieces, bool AreAll>
  FEAUG_AVX512_BF16 static void multiply(const split_block& block, const block_of_sums& sums) {
    for (index_t i = 0; i < sums.rows; i += rows_at_once) {
      const std::uint16_t* const a = block.a[i / split_side] + i % split_side * split_depth;
      multiply_rows<Pieces, AreAll>(a, block, sums.c + i * sums.row, sums);
    }
  }

 private:
  template <int Pieces, bool AreAll>
  FEAUG_AVX512_BF16 static void multiply_rows(const std::uint16_t* a, const split_block& block,
                                              float* c, const block_of_sums& of_block) {
    __m512 sums[rows_at_once][2];
    FEAUG_UNROLL_REGISTERS
    for (int r = 0; r < rows_at_once; ++r) {
      float* const row = c + r * of_block.row;
      sums[r][0] = of_block.accumulate ? _mm512_loadu_ps(row) : _mm512_setzero_ps();
      sums[r][1] = of_block.accumulate ? _mm512_loadu_ps(row + split_side) : _mm512_setzero_ps();
    }
    for (index_t step = 0; step < block.steps; ++step) {
      // The small products first, before the sums of this step are large.
      for (int p = Pieces - 1; p >= 0; --p) {
        for (int q = Pieces - (AreAll ? 1 : 1 + p); q >= 0; --q) {
          const index_t of_b = (q * split_b_tiles + step) * split_tile;
          add_tile(a + (p * split_a_tiles + step) * split_tile, block.b[0] + of_b,
                   block.b[1] + of_b, sums);
        }
      }
    }
    FEAUG_UNROLL_REGISTERS
    for (int r = 0; r < rows_at_once; ++r) {
      _mm512_storeu_ps(c + r * of_block.row, sums[r][0]);
      _mm512_storeu_ps(c + r * of_block.row + split_side, sums[r][1]);
    }
  }

  /// sums += 8 rows of a tile of a · two tiles of b
  FEAUG_AVX512_BF16 FEAUG_INLINE static void add_tile(const std::uint16_t* a,
                                                      const std::uint16_t* left,
                                                      const std::uint16_t* right,
                                                      __m512 (&sums)[rows_at_once][2]) {
    for (index_t k = 0; k < split_depth; k += 2) {
      const auto columns = reinterpret_cast<__m512bh>(_mm512_load_si512(left + k * split_side));
      const auto next = reinterpret_cast<__m512bh>(_mm512_load_si512(right + k * split_side));
      FEAUG_UNROLL_REGISTERS
      for (int r = 0; r < rows_at_once; ++r) {
        std::int32_t pair = 0;
        std::memcpy(&pair, a + r * split_depth + k, sizeof pair);
        const auto both = reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair));
        sums[r][0] = _mm512_dpbf16_ps(sums[r][0], both, columns);
        sums[r][1] = _mm512_dpbf16_ps(sums[r][1], both, next);
      }
    }
  }
};

/// A part of b, split: tile (j / 16, step) at (j / 16 · steps + step) · split_tile.
template <int Pieces>
FEAUG_AVX512 inline void split_b(const tile_product<float>& p, index_t first, index_t cols,
                                 index_t begin, index_t depth, std::uint16_t* to) {
  for (index_t j = 0; j < cols; j += split_side) {
    const float* const b = p.b_at(first + j) + begin * p.b_depth;
    for (index_t k = 0; k < depth; k += split_depth, to += split_tile)
      split_columns<Pieces>(b + k * p.b_depth, p.b_depth, depth - k, to,
                            split_b_tiles * split_tile);
  }
}

/// `rows` ≤ 32 rows of a, split, in the same order.
template <int Pieces>
FEAUG_AVX512 inline void split_a(const tile_product<float>& p, index_t first, index_t rows,
                                 index_t begin, index_t depth, std::uint16_t* to) {
  constexpr index_t piece = split_a_tiles * split_tile;
  for (index_t i = 0; i < rows; i += split_side) {
    const float* const a = p.a + (first + i) * p.a_row + begin * p.a_depth;
    for (index_t k = 0; k < depth; k += split_depth, to += split_tile) {
      if (p.a_depth == 1)
        split_rows<Pieces>(a + k, p.a_row, rows - i, depth - k, to, piece);
      else
        split_turned_rows<Pieces>(a + k * p.a_depth, p.a_depth, rows - i, depth - k, to, piece);
    }
  }
}

/// The block's product, with `rows` ≤ 32 and `cols` 16 or 32 of it in c.
template <class Blocks, int Pieces, bool AreAll>
FEAUG_AVX512 inline void multiply_part(const split_block& block, const block_of_sums& sums,
                                       index_t cols) {
  constexpr index_t side = 2 * split_side;
  if (sums.rows == side && cols == side)
    return Blocks::template multiply<Pieces, AreAll>(block, sums);
  alignas(64) float whole[side * side];
  for (index_t i = 0; sums.accumulate && i < sums.rows; ++i)
    std::copy_n(sums.c + i * sums.row, cols, whole + i * side);
  Blocks::template multiply<Pieces, AreAll>(
      block, {.c = whole, .row = side, .rows = sums.rows, .accumulate = sums.accumulate});
  for (index_t i = 0; i < sums.rows; ++i)
    std::copy_n(whole + i * side, cols, sums.c + i * sums.row);
}

/// c's elements, by the factors of their row and column.
FEAUG_AVX512 inline void multiply_by_factors(const tile_product<float>& p) {
  using v = avx512<float>;
  for (index_t i = 0; i < p.rows; ++i) {
    float* const c = p.c + i * p.c_row;
    const v::vector of_row = v::all(p.pieces.row_factors[i]);
    for (index_t j = 0; j < p.cols; j += v::lanes) {
      const v::vector both = v::multiply(of_row, v::load(p.pieces.column_factors + j));
      v::store(c + j, v::multiply(v::load(c + j), both));
    }
  }
}

template <class Blocks, int Pieces, bool AreAll>
FEAUG_AVX512 inline void multiply_in_pieces(const tile_product<float>& p) {
  std::uint16_t* const a = p.pieces.scratch;
  std::uint16_t* const b = a + Pieces * split_a_tiles * split_tile;
  Blocks::begin();
  for (index_t begin = 0; begin < p.depth; begin += split_chunk) {
    const index_t depth = std::min(split_chunk, p.depth - begin);
    const index_t steps = (depth + split_depth - 1) / split_depth;
    for (index_t left = 0; left < p.cols; left += split_cols) {
      const index_t width = std::min(split_cols, p.cols - left);
      split_b<Pieces>(p, left, width, begin, depth, b);
      for (index_t top = 0; top < p.rows; top += 2 * split_side) {
        const index_t rows = std::min(2 * split_side, p.rows - top);
        split_a<Pieces>(p, top, rows, begin, depth, a);
        for (index_t j = 0; j < width; j += 2 * split_side) {
          const index_t cols = std::min(2 * split_side, width - j);
          // Without a second tile the first is used twice, and not stored.
          const std::uint16_t* const columns = b + j / split_side * steps * split_tile;
          const split_block block = {
              .a = {a, rows > split_side ? a + steps * split_tile : a},
              .b = {columns, cols > split_side ? columns + steps * split_tile : columns},
              .steps = steps};
          multiply_part<Blocks, Pieces, AreAll>(block,
                                                {.c = p.c + top * p.c_row + left + j,
                                                 .row = p.c_row,
                                                 .rows = rows,
                                                 .accumulate = p.accumulate || begin > 0},
                                                cols);
        }
      }
    }
  }
  Blocks::end();
  if (p.pieces.row_factors != nullptr) multiply_by_factors(p);
}

template <class Blocks>
bool multiply_in_pieces(const tile_product<float>& product) {
  if ((product.a_depth != 1 && product.a_row != 1) || !gains_by_pieces(product.depth)) return false;
  switch (product.pieces.count) {
    case 1:
      multiply_in_pieces<Blocks, 1, true>(product);
      return true;
    case 2:
      if (product.pieces.are_all) {
        multiply_in_pieces<Blocks, 2, true>(product);
      } else {
        multiply_in_pieces<Blocks, 2, false>(product);
      }
      return true;
    case 3:
      multiply_in_pieces<Blocks, 3, false>(product);
      return true;
    default:
      return false;
  }
}

/// Computes the product in pieces, if it may and gains. The choice must not depend on the number of
/// rows, which can depend on the number of threads.
inline bool multiply_bfloat16(instruction_set instructions, const tile_product<float>& product) {
#if FEAUG_AMX_COMPILES
  if (instructions >= instruction_set::amx) return multiply_in_pieces<amx_blocks>(product);
#endif
  return instructions >= instruction_set::avx512_bf16 && multiply_in_pieces<vector_blocks>(product);
}
// NOLINTEND(readability-magic-numbers)

}  // namespace detail
#endif

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
