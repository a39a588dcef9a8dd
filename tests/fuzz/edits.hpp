// Damage to the bytes of a file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "fuzz/choices.hpp"

namespace fuzz {

/// Up to three edits: bytes are overwritten, removed, added, or the end is cut off.
inline std::string edited(std::string bytes, choices& choose) {
  for (std::int64_t left = choose.between(0, 3); left > 0; --left) {
    const auto size = static_cast<std::int64_t>(bytes.size());
    const auto at = static_cast<std::size_t>(choose.between(0, size));
    switch (choose.between(0, 3)) {
      case 0:
        if (at < bytes.size()) bytes[at] = static_cast<char>(choose.byte());
        break;
      case 1:
        bytes.erase(at, static_cast<std::size_t>(choose.between(1, 9)));
        break;
      case 2:
        bytes.insert(at, choose.bytes(9));
        break;
      default:
        bytes.resize(at);
    }
  }
  return bytes;
}

}  // namespace fuzz
