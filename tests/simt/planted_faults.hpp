// Kernels with one fault each. CUDA forbids the fault, and the executor must report it.
#pragma once

#include <cuda_runtime.h>

namespace simt_faults {

inline __global__ void right(float* out) {
  auto* const shared = static_cast<float*>(simt::dynamic_shared_memory());
  shared[threadIdx.x] = static_cast<float>(threadIdx.x);
  __syncthreads();
  out[threadIdx.x] = shared[blockDim.x - 1 - threadIdx.x];
}

inline __global__ void barrier_in_a_branch(float* out) {
  if (threadIdx.x < 16) {
    __syncthreads();
  } else {
    out[threadIdx.x] = 1;
    __syncthreads();
  }
}

inline __global__ void barrier_that_some_never_reach(float* out) {
  if (threadIdx.x < 16) return;
  __syncthreads();
  out[threadIdx.x] = 1;
}

inline __global__ void shuffle_that_some_never_reach(float* out) {
  if (threadIdx.x >= 16) return;
  out[threadIdx.x] = __shfl_xor_sync(~0U, 1.0F, 1);
}

inline __global__ void shuffle_outside_its_mask(float* out) {
  if (threadIdx.x == 3) out[0] = __shfl_sync(1U, 1.0F, 0);
}

inline __global__ void shuffle_from_outside_its_mask(float* out) {
  if (threadIdx.x < 16) out[threadIdx.x] = __shfl_sync(0xFFFFU, 1.0F, 20);
}

inline __global__ void different_warp_operations(float* out) {
  if (threadIdx.x % 2 == 0) {
    out[threadIdx.x] = __shfl_sync(~0U, 1.0F, 0);
  } else {
    out[threadIdx.x] = static_cast<float>(__ballot_sync(~0U, 1));
  }
}

inline __global__ void deadlock(float* out) {
  if (threadIdx.x < 32) {
    __syncthreads();
  } else {
    __syncwarp(1U << threadIdx.x % 32);
    __shfl_sync(~0U, 1.0F, threadIdx.x == 32 ? 0 : 1);
    if (threadIdx.x == 40) __shfl_sync(~0U, 1.0F, 0);
  }
  out[threadIdx.x] = 1;
}

inline __global__ void unwritten_shared_memory(float* out) {
  auto* const shared = static_cast<float*>(simt::dynamic_shared_memory());
  if (threadIdx.x != 5) shared[threadIdx.x] = 1;
  __syncthreads();
  out[threadIdx.x] = shared[threadIdx.x];
}

/// Correct in one order of threads only: a barrier is missing.
inline __global__ void race(float* out) {
  auto* const shared = static_cast<float*>(simt::dynamic_shared_memory());
  shared[threadIdx.x] = static_cast<float>(threadIdx.x);
  out[threadIdx.x] = shared[threadIdx.x ^ 33];
}

/// Wrong if a warp runs ahead: it may overwrite values that other warps have not read yet.
inline __global__ void second_barrier_missing(float* out) {
  auto* const shared = static_cast<float*>(simt::dynamic_shared_memory());
  shared[threadIdx.x] = static_cast<float>(threadIdx.x);
  __syncthreads();
  __syncwarp();
  out[threadIdx.x] = shared[threadIdx.x ^ 33];
  shared[threadIdx.x] = -1;
}

inline __global__ void shared_memory_overrun(float* out) {
  auto* const shared = static_cast<float*>(simt::dynamic_shared_memory());
  shared[threadIdx.x + 1] = 1;
  __syncthreads();
  out[threadIdx.x] = shared[threadIdx.x];
}

inline __global__ void device_memory_overrun(float* out) { out[threadIdx.x + 1] = 1; }

}  // namespace simt_faults
