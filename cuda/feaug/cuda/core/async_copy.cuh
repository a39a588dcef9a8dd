// Asynchronous copies from global to shared memory (cp.async, sm_80 and up).
#pragma once

#include "feaug/header_begin.hpp"

#include <cstdint>

#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda::inline FEAUG_CUBLAS_NAMESPACE {

/// Starts an asynchronous copy of 16 bytes. If `is_there` is false, it writes zeros and does not
/// read `from`. Both pointers are multiples of 16 bytes.
__device__ inline void begin_copy_16(void* to, const void* from, bool is_there) {
#if defined(__CUDACC__)
  const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(to));
  const int bytes = is_there ? 16 : 0;
  FEAUG_PTX_SM80("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(from),
                 "r"(bytes)
                 : "memory");
#else
  simt::begin_copy_16(to, is_there ? from : nullptr, {__FILE__, __LINE__});
#endif
}

/// Closes a group: it holds the copies that this thread has started since the last call.
__device__ inline void close_copy_group() {
#if defined(__CUDACC__)
  FEAUG_PTX_SM80("cp.async.commit_group;" ::: "memory");
#else
  simt::commit_copies();
#endif
}

/// Waits for all of this thread's groups except the `Pending` latest. Copies by other threads are
/// visible after the block's next barrier.
template <int Pending>
__device__ void wait_for_copy_groups() {
#if defined(__CUDACC__)
  FEAUG_PTX_SM80("cp.async.wait_group %0;" ::"n"(Pending) : "memory");
#else
  simt::wait_for_copies(Pending);
#endif
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda

#include "feaug/header_end.hpp"
