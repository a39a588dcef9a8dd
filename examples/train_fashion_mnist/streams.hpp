// Assignment of the run's random streams.
#pragma once

#include <cstdint>

#include "feaug/core/random.hpp"

namespace trainer {

/// Feature augmentation draws from stream 0 on and may use thousands of streams; the others start
/// far above.
enum class stream : std::uint16_t {
  features = 0,
  weights = 50000,
  epoch_order = 60000,
  crop = 60010,
  flip = 60020,
  light = 60030
};

inline feaug::random_key key_for(std::uint64_t seed, std::uint64_t step, stream of,
                                 int offset = 0) {
  return {.seed = seed,
          .step = step,
          .stream = static_cast<std::uint16_t>(static_cast<int>(of) + offset)};
}

}  // namespace trainer
