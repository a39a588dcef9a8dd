// The CUDA C++ that kernels are written in. Macros declare shared memory, so that the CPU emulation
// of CUDA (tests/simt) can run the same source on a CPU.
#pragma once

#include "feaug/header_begin.hpp"

#include <cuda_runtime.h>

#if defined(__CUDACC__)

/// PTX for sm_80 and up. In code for older GPUs it is a trap, because tensor_core_shared is 0
/// there.
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
#define FEAUG_PTX_SM80(...) asm volatile(__VA_ARGS__)
#else
#define FEAUG_PTX_SM80(...) __trap()
#endif
/// Put before a loop to unroll it.
#define FEAUG_UNROLL _Pragma("unroll")
/// A variable of `type` (trivially constructible) in the block's static shared memory.
#define FEAUG_SHARED(type, name) __shared__ type name
/// The launch's dynamic shared memory, as an array of `type`.
#define FEAUG_DYNAMIC_SHARED(type, name)                                 \
  extern __shared__ __align__(128) unsigned char feaug_dynamic_shared[]; \
  type* const name = reinterpret_cast<type*>(feaug_dynamic_shared)

#elif defined(FEAUG_SIMT)

#define FEAUG_UNROLL
#define FEAUG_SHARED(type, name)    \
  type& name = *static_cast<type*>( \
      simt::static_shared_memory(sizeof(type), alignof(type), {__FILE__, __LINE__}))
#define FEAUG_DYNAMIC_SHARED(type, name) \
  type* const name = static_cast<type*>(simt::dynamic_shared_memory())

#else
#error "feaug's CUDA headers are compiled by nvcc: include them in a .cu file"
#endif

#include "feaug/header_end.hpp"
