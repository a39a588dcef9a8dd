// The device of a call: PyTorch's current device, stream and allocator, or its number of threads.
#pragma once

#include "kernels.hpp"
#include "tensors.hpp"

#if defined(FEAUG_PYTHON_CUDA)
#include <torch/csrc/stable/accelerator.h>
#endif

namespace feaug_torch {

#if defined(FEAUG_PYTHON_CUDA)
inline void* allocate(void* /*allocator*/, std::size_t bytes) {
  void* memory = nullptr;
  succeed("the allocation of GPU memory",
          aoti_torch_cuda_caching_allocator_raw_alloc(bytes, &memory));
  return memory;
}
/// Does not throw, since destructors call it: a failure is lost, as is the memory.
inline void deallocate(void* /*allocator*/, void* memory) {
  aoti_torch_cuda_caching_allocator_raw_delete(memory);
}
/// Makes the device of a tensor the current device during its lifetime.
class on_device_of {
 public:
  explicit on_device_of(const Tensor& x)
      : guard_(x.get_device_index()), from_{.allocate = allocate, .deallocate = deallocate} {
    succeed("get_current_cuda_stream",
            aoti_torch_get_current_cuda_stream(x.get_device_index(), &from_.stream));
  }
  [[nodiscard]] const caller& from() const { return from_; }

 private:
  torch::stable::accelerator::DeviceGuard guard_;
  caller from_;
};
#else
class on_device_of {
 public:
  explicit on_device_of(const Tensor& /*x*/)
      : from_{.threads = static_cast<int>(torch::stable::get_num_threads())} {}
  [[nodiscard]] const caller& from() const { return from_; }

 private:
  caller from_;
};
#endif

}  // namespace feaug_torch
