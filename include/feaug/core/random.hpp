// Counter-based random numbers: a draw is a pure function of (seed, step, stream, row, column).
//
// There is no stored or global state. A draw is the same on CPU and GPU, for any number of threads,
// any block shape and any split into micro-batches or ranks. A backward pass regenerates what its
// forward pass drew. Philox 4×32-10 (Salmon et al., SC 2011) from Random123.
#pragma once

#include "feaug/header_begin.hpp"

#include <Random123/philox.h>

#include <cstdint>
#include <string_view>

#include "feaug/core/error.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Selects a family of draws. An operator adds the row and the column.
struct random_key {
  std::uint64_t seed = 0;    ///< of the whole run
  std::uint64_t step = 0;    ///< the training step; below 2³²
  std::uint16_t stream = 0;  ///< separates draws of one step; an augmentation uses
                             ///< `stream_count` streams from this one on
  index_t row_offset = 0;    ///< the global index of the batch's first row: with it,
                             ///< micro-batches and ranks draw the numbers of the whole batch
  /// On a GPU: a counter in device memory that replaces `step` when the kernels run, so that every
  /// launch of a captured graph draws new numbers. Only its low 32 bits are used.
  const std::uint64_t* device_step = nullptr;

  /// The key with the current value of the counter: device code draws from this.
  [[nodiscard]] FEAUG_HD random_key resolved() const {
    random_key now = *this;
    if (device_step != nullptr) now.step = *device_step;
    return now;
  }

  /// The same key with `count` added to the stream.
  [[nodiscard]] FEAUG_HD constexpr random_key streams_later(int count) const {
    random_key later = *this;
    later.stream = static_cast<std::uint16_t>(stream + count);
    return later;
  }
};

/// Four 32-bit words, those of columns 4·block … 4·block + 3 of a row.
struct random_block {
  std::uint32_t words[4];
};

FEAUG_HD inline random_block draw_block(const random_key& key, index_t row, std::uint32_t block) {
  const auto global_row = static_cast<std::uint64_t>(row + key.row_offset);
  const r123::Philox4x32::ctr_type counter = {
      {block, static_cast<std::uint32_t>(global_row),
       static_cast<std::uint32_t>((global_row >> 32) & 0xFFFFU) |
           (static_cast<std::uint32_t>(key.stream) << 16),
       static_cast<std::uint32_t>(key.step)}};
  const r123::Philox4x32::key_type philox_key = {
      {static_cast<std::uint32_t>(key.seed), static_cast<std::uint32_t>(key.seed >> 32)}};
  const auto result = r123::Philox4x32{}(counter, philox_key);
  return {{result.v[0], result.v[1], result.v[2], result.v[3]}};
}

/// The word of one element.
FEAUG_HD inline std::uint32_t draw_word(const random_key& key, index_t row, index_t column) {
  return draw_block(key, row, static_cast<std::uint32_t>(column / 4)).words[column % 4];
}

/// A word as a number in [0, 1), with 24 bits.
FEAUG_HD constexpr float uniform_from_word(std::uint32_t word) {
  return static_cast<float>(word >> 8) * 0x1p-24F;
}

FEAUG_HD inline float draw_uniform(const random_key& key, index_t row, index_t column) {
  return uniform_from_word(draw_word(key, row, column));
}

namespace check {

/// Checks that draws for `rows` × `columns` in `streams` streams fit into the counters without
/// overlap.
inline void usable(std::string_view op, const random_key& key, index_t rows, index_t columns,
                   int streams, memory_space space = memory_space::host) {
  if (key.device_step != nullptr && space == memory_space::host)
    fail(op, "random_key.device_step", "a pointer", "null, since this runs on the CPU");
  if (key.step > 0xFFFFFFFFU) fail(op, "random_key.step", text(key.step), "a number below 2^32");
  if (key.row_offset < 0 || key.row_offset > (index_t{1} << 48) - rows) {
    fail(op, "random_key.row_offset", text(key.row_offset), "rows numbered from 0 to 2^48 - 1");
  }
  if (columns > (index_t{1} << 34))
    fail(op, "x", text(columns) + " columns", "at most 2^34, since they are drawn for");
  if (static_cast<int>(key.stream) + streams > 0x10000) {
    fail(op, "random_key.stream", text(key.stream) + " with " + text(streams) + " streams needed",
         "streams below 2^16");
  }
}

}  // namespace check
}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
