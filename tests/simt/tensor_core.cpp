#include "tensor_core.hpp"

#include <cstring>

#include "feaug/core/element.hpp"
#include "intrinsics.hpp"

namespace simt {

void multiply_add_16x8x16(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2],
                          sixteen_bits type, place at) {
  struct operands {
    std::uint32_t a[4];
    std::uint32_t b[2];
  };
  static_assert(sizeof(operands) <= exchange_bytes);
  operands mine;
  std::memcpy(mine.a, a, sizeof a);
  std::memcpy(mine.b, b, sizeof b);
  const unsigned char* const all = warp_exchange(&mine, sizeof mine, at);
  const auto of_lane = [all](int lane) {
    operands theirs;
    std::memcpy(&theirs, all + static_cast<std::size_t>(lane) * exchange_bytes, sizeof theirs);
    return theirs;
  };
  const auto element = [type](std::uint32_t pair, int k) {
    const auto bits = static_cast<std::uint16_t>(k % 2 == 0 ? pair : pair >> 16);
    return type == sixteen_bits::half ? feaug::load(feaug::half{bits})
                                      : feaug::load(feaug::bfloat16{bits});
  };
  const int group = current_lane() / 4;
  const int column = 2 * (current_lane() % 4);
  for (int eight = 0; eight < 2; ++eight) {
    for (int quarter = 0; quarter < 4; ++quarter) {
      const operands of_rows = of_lane(4 * group + quarter);
      const operands of_first = of_lane(4 * column + quarter);
      const operands of_second = of_lane(4 * (column + 1) + quarter);
      for (int k = 0; k < 2; ++k) {
        const float upper = element(of_rows.a[2 * eight], k);
        const float lower = element(of_rows.a[2 * eight + 1], k);
        const float first = element(of_first.b[eight], k);
        const float second = element(of_second.b[eight], k);
        c[0] += upper * first;
        c[1] += upper * second;
        c[2] += lower * first;
        c[3] += lower * second;
      }
    }
  }
}

void require_aligned(const void* pointer, const char* what, place at) {
  if (reinterpret_cast<std::uintptr_t>(pointer) % 16 == 0) return;
  throw error(std::string(what) + " is not aligned to 16 bytes, at " + at.file + ":" +
              std::to_string(at.line));
}

void load_four_tiles(const void* row, bool transposed, std::uint32_t (&pairs)[4], place at) {
  require_aligned(row, "a tile's row", at);
  const std::uint64_t* const published =
      warp_meeting(warp_operation::exchange, ~0U, to_bits(row), at);
  const auto element = [published](int tile, int r, int c) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, from_bits<const std::uint16_t*>(published[8 * tile + r]) + c, sizeof bits);
    return static_cast<std::uint32_t>(bits);
  };
  const int lane = current_lane();
  for (int tile = 0; tile < 4; ++tile) {
    const int far = lane / 4;
    const int near = 2 * (lane % 4);
    const std::uint32_t low = transposed ? element(tile, near, far) : element(tile, far, near);
    const std::uint32_t high =
        transposed ? element(tile, near + 1, far) : element(tile, far, near + 1);
    pairs[tile] = low | high << 16;
  }
}

}  // namespace simt
