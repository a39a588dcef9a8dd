// The memory of a run's support queue.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "feaug/queue/queue_shadow.hpp"
#include "feaug/queue/support_queue.hpp"
#include "model.hpp"

namespace trainer {

/// A queue's memory, owned by the program: feaug receives views of it, and checkpoints store it.
struct queue_memory {
  std::vector<float> rows;
  std::vector<std::int64_t> ids;
  std::vector<std::int64_t> labels;
  feaug::index_t cursor = 0;
  feaug::index_t size = 0;
  /// The rows quantized to 8 bits, for searches. Not in checkpoints, because it can be rebuilt from
  /// the rows.
  std::vector<std::uint8_t> shadow_codes;
  std::vector<float> shadow_bounds;

  explicit queue_memory(std::int64_t capacity)
      : rows(static_cast<std::size_t>(capacity * projected_features)),
        ids(static_cast<std::size_t>(capacity)),
        labels(static_cast<std::size_t>(capacity)),
        shadow_codes(static_cast<std::size_t>(feaug::shadow_codes(capacity, projected_features))),
        shadow_bounds(static_cast<std::size_t>(feaug::shadow_bounds(capacity))) {}

  feaug::support_queue<float> view() {
    const auto capacity = static_cast<feaug::index_t>(ids.size());
    return {
        .storage = {rows.data(), capacity, projected_features},
        .cursor = &cursor,
        .size = &size,
        .ids = {ids.data(), capacity},
        .labels = {labels.data(), capacity},
        .shadow = {
            .codes = {shadow_codes.data(), static_cast<feaug::index_t>(shadow_codes.size())},
            .bounds = {shadow_bounds.data(), static_cast<feaug::index_t>(shadow_bounds.size())}}};
  }
};

}  // namespace trainer
