// The device of a call: PyTorch's current device, stream and allocator, or its number of threads.
#pragma once

#include <torch/csrc/stable/ops.h>
#include <unistd.h>

#include <cstdint>

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
/// PyTorch's threads run feaug's parts, too: they wait awake after PyTorch's operators, and would
/// take the cores from threads of feaug.
inline void run_on_threads(int workers, void (*call)(const void* work, int number),
                           const void* work) {
  torch::stable::parallel_for(0, workers, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t number = begin; number < end; ++number) call(work, static_cast<int>(number));
  });
}

inline const pid_t loaded_by = getpid();

/// Null in a child process of fork(), where PyTorch's threads do not exist and are waited for without
/// an end.
inline executor_function pytorch_executor() {
  return getpid() == loaded_by ? run_on_threads : nullptr;
}

class on_device_of {
 public:
  explicit on_device_of(const Tensor& /*x*/)
      : from_{.threads = static_cast<int>(torch::stable::get_num_threads()),
              .executor = pytorch_executor()} {}
  [[nodiscard]] const caller& from() const { return from_; }

 private:
  caller from_;
};
#endif

}  // namespace feaug_torch
