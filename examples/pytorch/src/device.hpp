// The device of a call: PyTorch's current device, stream and allocator, or its number of threads.
#pragma once

#if defined(FEAUG_TORCH_CUDA)
#include <c10/core/Allocator.h>
#include <c10/core/DeviceGuard.h>
#include <c10/cuda/CUDAStream.h>
#else
#include <ATen/Parallel.h>
#endif
#include <ATen/core/Tensor.h>

#include "kernels.hpp"

namespace feaug_torch {

#if defined(FEAUG_TORCH_CUDA)
inline void* allocate(std::size_t bytes) {
  return c10::GetAllocator(at::DeviceType::CUDA)->raw_allocate(bytes);
}
inline void deallocate(void* memory) {
  c10::GetAllocator(at::DeviceType::CUDA)->raw_deallocate(memory);
}
/// Makes the device of a tensor the current device during its lifetime.
class on_device_of {
 public:
  explicit on_device_of(const at::Tensor& x)
      : guard_(x.device()),
        from_{.stream = c10::cuda::getCurrentCUDAStream().stream(),
              .allocate = allocate,
              .deallocate = deallocate} {}
  [[nodiscard]] const caller& from() const { return from_; }

 private:
  c10::DeviceGuard guard_;
  caller from_;
};
#else
class on_device_of {
 public:
  explicit on_device_of(const at::Tensor& /*x*/) : from_{.threads = at::get_num_threads()} {}
  [[nodiscard]] const caller& from() const { return from_; }

 private:
  caller from_;
};
#endif

}  // namespace feaug_torch
