// A queue's shadow: its rows in 8 bits a feature, with what bounds how far that is from the rows.
#pragma once

#include <cstdint>
#include <string_view>

#include "feaug/core/error.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// What a search passes most rows over by without scoring them; what it finds is the same. In the
/// host's memory like the queue itself, with no value needed to begin with: enqueue keeps it up,
/// rebuild_shadow makes it anew. Codes on a cache line (64 bytes) are read faster.
struct queue_shadow {
  vector_view<std::uint8_t> codes = {};  ///< shadow_codes(capacity, features) of them, packed
  vector_view<float> bounds = {};        ///< shadow_bounds(capacity) of them, packed

  [[nodiscard]] constexpr bool empty() const { return codes.empty() && bounds.empty(); }
};

/// Rows of a shadow lie in blocks of so many, feature by feature in fours, as they are multiplied.
inline constexpr index_t shadow_block_rows = 32;
/// Features of a block are padded to a multiple.
inline constexpr index_t shadow_quad = 4;
/// What bounds a row: how much one step of its codes is, its length, its distance from its codes.
inline constexpr index_t shadow_row_bounds = 3;

constexpr index_t shadow_blocks(index_t rows) {
  return (rows + shadow_block_rows - 1) / shadow_block_rows;
}
constexpr index_t shadow_quads(index_t features) {
  return (features + shadow_quad - 1) / shadow_quad;
}
/// Bytes of a block's codes.
constexpr index_t shadow_block_codes(index_t features) {
  return shadow_block_rows * shadow_quad * shadow_quads(features);
}

/// Codes of a shadow for so many rows: about one byte a feature.
constexpr index_t shadow_codes(index_t capacity, index_t features) {
  return shadow_blocks(capacity) * shadow_block_codes(features);
}
/// Bounds of a shadow for so many rows: three a row.
constexpr index_t shadow_bounds(index_t capacity) {
  return shadow_blocks(capacity) * shadow_block_rows * shadow_row_bounds;
}

namespace check {

/// No shadow, or one that fits the queue: both parts, packed, of the right sizes.
inline void valid(std::string_view op, const queue_shadow& shadow, index_t capacity,
                  index_t features) {
  if (shadow.empty()) return;
  writable(op, "queue.shadow.codes", shadow.codes);
  writable(op, "queue.shadow.bounds", shadow.bounds);
  has_size(op, "queue.shadow.codes", shadow.codes, shadow_codes(capacity, features),
           "shadow_codes(capacity, features)");
  has_size(op, "queue.shadow.bounds", shadow.bounds, shadow_bounds(capacity),
           "shadow_bounds(capacity)");
  const auto packed = [op](std::string_view name, index_t stride) {
    if (stride != 1) fail(op, name, "stride " + text(stride), "1, packed");
  };
  packed("queue.shadow.codes", shadow.codes.strides[0]);
  packed("queue.shadow.bounds", shadow.bounds.strides[0]);
}

}  // namespace check
}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
