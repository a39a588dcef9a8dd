// Tensor-core instructions in plain C++: small matrix products by the lanes of a warp, loads of
// their operands, asynchronous copies. The layouts are those of the PTX manual (mma.m16n8k16,
// ldmatrix), element by element.
#pragma once

#include <cstdint>
#include <string>

#include "launch.hpp"

namespace simt {

enum class sixteen_bits { half, bfloat16 };

/// c += a · b, with a 16 × 16 and b 16 × 8 of 16-bit elements (two in a word, the lower index in
/// the lower half). Sums are added in index order, which the hardware does not promise.
void multiply_add_16x8x16(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2],
                          sixteen_bits type, place at);

/// Throws if these 16 bytes are not aligned to 16: the hardware faults.
void require_aligned(const void* pointer, const char* what, place at);

/// Starts a copy of 16 bytes from global to shared memory; null `from`: zeros.
inline void begin_copy_16(void* to, const void* from, place at) {
  require_aligned(to, "the destination of a copy", at);
  require_aligned(from, "the source of a copy", at);
  begin_copy(to, from, 16);
}

/// Loads four 8 × 8 tiles of 16-bit elements. Lane l passes the address of row l % 8 of tile l / 8.
/// Each lane gets two adjacent elements of row lane / 4 of every tile or, transposed, of column
/// lane / 4.
void load_four_tiles(const void* row, bool transposed, std::uint32_t (&pairs)[4], place at);

}  // namespace simt
