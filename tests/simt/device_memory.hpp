// "Device" memory on the CPU: out of the host's reach except while a kernel or a copy runs.
//
// Host code that dereferences a device pointer crashes here as it would with a GPU. New memory
// holds NaN, and with ASan what lies between allocations must not be touched.
#pragma once

#include <cstddef>

namespace simt {

/// Null if there is no more. Aligned to 256 bytes.
void* allocate_device(std::size_t bytes);
/// False if `memory` did not come from allocate_device.
bool free_device(void* memory);
/// Whether a pointer points into device memory.
bool is_device(const void* pointer);
/// Allocations made since the program began, and bytes held now.
std::size_t device_allocations();
std::size_t device_bytes();

/// While one lives, device memory can be read and written.
class device_memory_access {
 public:
  device_memory_access();
  ~device_memory_access();
  device_memory_access(const device_memory_access&) = delete;
  device_memory_access& operator=(const device_memory_access&) = delete;
};

}  // namespace simt
