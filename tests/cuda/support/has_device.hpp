// Tests that need a GPU are skipped where there is none; never passed.
#pragma once

#include <cuda_runtime.h>

namespace device_test {

/// The exit code that ctest takes for a skipped test.
inline constexpr int skipped = 77;

inline bool has_device() {
  int devices = 0;
  return cudaGetDeviceCount(&devices) == cudaSuccess && devices > 0;
}

}  // namespace device_test
