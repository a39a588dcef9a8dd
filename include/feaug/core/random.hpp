// Counter-based random numbers: a draw is a pure function of (seed, step, stream, row, column).
//
// Nothing is stored and nothing is global: the same draw comes out on CPU and GPU, for any number
// of threads, any block shape, any split into micro-batches or ranks; a backward pass asks again
// for what its forward pass drew. Philox 4×32-10 (Salmon et al., SC 2011) from Random123.
#pragma once

#include <Random123/philox.h>

#include <cstdint>
#include <string_view>

#include "feaug/core/error.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Names a family of draws. An operator adds the row and the column.
struct random_key {
  std::uint64_t seed = 0;    ///< of the whole run
  std::uint64_t step = 0;    ///< of training; below 2³²
  std::uint16_t stream = 0;  ///< keeps draws of one step apart; an augmentation takes
                             ///< `stream_count` of them from here on
  index_t row_offset = 0;  ///< the global number of the batch's first row: micro-batches and ranks
                           ///< draw as one batch would
  /// On a GPU: a counter in device memory that takes the place of `step` when the work runs, so
  /// that a captured graph draws anew each time it is launched. Its low 32 bits count.
  const std::uint64_t* device_step = nullptr;

  /// With the step that the counter holds now: what device code draws from.
  [[nodiscard]] FEAUG_HD random_key resolved() const {
    random_key now = *this;
    if (device_step != nullptr) now.step = *device_step;
    return now;
  }

  /// The same key, `count` streams further.
  [[nodiscard]] FEAUG_HD constexpr random_key streams_later(int count) const {
    random_key later = *this;
    later.stream = static_cast<std::uint16_t>(stream + count);
    return later;
  }
};

/// Four 32-bit words: those of columns 4·block … 4·block + 3 of a row.
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

/// A key whose draws for `rows` × `columns` in `streams` streams have counters of their own.
inline void usable(std::string_view op, const random_key& key, index_t rows, index_t columns,
                   int streams, memory_space space = memory_space::host) {
  if (key.device_step != nullptr && space == memory_space::host)
    fail(op, "random_key.device_step", "a pointer", "null, since this runs on the CPU");
  if (key.step > 0xFFFFFFFFU) fail(op, "random_key.step", text(key.step), "a number below 2^32");
  if (key.row_offset < 0 || key.row_offset + rows > (index_t{1} << 48)) {
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
