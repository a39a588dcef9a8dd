// Tests that need a GPU are reported as skipped, not as passed, if there is none.
#pragma once

#include <cuda_runtime.h>

namespace device_test {

/// The exit code that ctest counts as skipped.
inline constexpr int skipped = 77;

inline bool has_device() {
  int devices = 0;
  return cudaGetDeviceCount(&devices) == cudaSuccess && devices > 0;
}

}  // namespace device_test
