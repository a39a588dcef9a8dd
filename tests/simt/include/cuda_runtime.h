// Replaces CUDA's header when a plain C++ compiler builds the kernels for the CPU.
#pragma once

#define FEAUG_SIMT 1

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(bytes) alignas(bytes)

#include "simt/intrinsics.hpp"
#include "simt/launch.hpp"
#include "simt/runtime.hpp"
#include "simt/tensor_core.hpp"
