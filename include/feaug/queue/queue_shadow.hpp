// The shadow of a queue: its rows quantized to 8 bits a feature, with bounds of the quantization
// error.
#pragma once

#include "feaug/header_begin.hpp"

#include <cstdint>
#include <string_view>

#include "feaug/core/error.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Lets a search skip most rows without scoring them; the results are the same. It is in host
/// memory like the queue and needs no initialisation: enqueue updates it, rebuild_shadow recomputes
/// it. Searches are faster if codes are aligned to a cache line (64 bytes).
struct queue_shadow {
  vector_view<std::uint8_t> codes = {};  ///< shadow_codes(capacity, features) elements, packed
  vector_view<float> bounds = {};        ///< shadow_bounds(capacity) elements, packed

  [[nodiscard]] constexpr bool empty() const { return codes.empty() && bounds.empty(); }
};

/// Rows in a block. In a block, codes are stored feature by feature in groups of four, the order in
/// which they are multiplied.
inline constexpr index_t shadow_block_rows = 32;
/// Features of a block are padded to a multiple of this.
inline constexpr index_t shadow_group = 4;
/// Bounds of a row: the quantization step of its codes, its norm, and its distance from its codes.
inline constexpr index_t shadow_row_bounds = 3;

constexpr index_t shadow_blocks(index_t rows) {
  return (rows + shadow_block_rows - 1) / shadow_block_rows;
}
constexpr index_t shadow_groups(index_t features) {
  return (features + shadow_group - 1) / shadow_group;
}
/// Bytes of a block's codes.
constexpr index_t shadow_block_codes(index_t features) {
  return shadow_block_rows * shadow_group * shadow_groups(features);
}

/// Codes of a shadow for `capacity` rows: about one byte a feature.
constexpr index_t shadow_codes(index_t capacity, index_t features) {
  return shadow_blocks(capacity) * shadow_block_codes(features);
}
/// Bounds of a shadow for `capacity` rows: three a row.
constexpr index_t shadow_bounds(index_t capacity) {
  return shadow_blocks(capacity) * shadow_block_rows * shadow_row_bounds;
}

namespace check {

/// No shadow, or one that fits the queue: both parts packed and of the right sizes.
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

#include "feaug/header_end.hpp"
