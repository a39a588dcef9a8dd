// The invalid argument of a call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace conformance {

struct damage {
  enum class kind : std::uint8_t { none, null, extent, stride, memory_of, host_memory };

  std::string argument = {};  ///< "gradient of x": the destination of the gradient of x
  kind what = kind::none;
  std::size_t axis = 0;     ///< of the extent or stride
  std::int64_t number = 0;  ///< the invalid extent or stride
  std::string other = {};   ///< the argument whose memory is used
};

}  // namespace conformance
