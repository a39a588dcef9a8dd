// "Device" memory on the CPU, inaccessible to the host except while a kernel or a copy runs.
//
// Host code that dereferences a device pointer crashes, as it would with a GPU. New memory holds
// NaN. With ASan, an access between allocations is an error.
#pragma once

#include <cstddef>

namespace simt {

/// Returns null if no memory is left. Aligned to 256 bytes.
void* allocate_device(std::size_t bytes);
/// Returns false if `memory` did not come from allocate_device.
bool free_device(void* memory);
/// True if the pointer points into device memory.
bool is_device(const void* pointer);
/// Number of allocations since the start of the program, and bytes allocated now.
std::size_t device_allocations();
std::size_t device_bytes();

/// Device memory can be read and written while an object of this class exists.
class device_memory_access {
 public:
  device_memory_access();
  ~device_memory_access();
  device_memory_access(const device_memory_access&) = delete;
  device_memory_access& operator=(const device_memory_access&) = delete;
};

}  // namespace simt
