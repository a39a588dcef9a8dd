// The step counter from which a captured graph draws.
#pragma once

#include "feaug/header_begin.hpp"

#include <cstdint>

#include "feaug/core/error.hpp"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/pointers.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cuda::inline FEAUG_CUBLAS_NAMESPACE {

// *step += 1, by one thread. Limited by launch latency.
template <class Counter>
__global__ void advance_step_kernel(Counter* step) {
  *step += 1;
}

}  // namespace cuda

/// *step += 1, in stream order. Call it once per captured step, so that each launch of the graph
/// makes new draws. `step` is the pointer in random_key::device_step.
inline void advance_step(cuda_context& ctx, std::uint64_t* step) {
  if (step == nullptr) check::fail("advance_step", "step", "a null pointer", "a device counter");
  cuda::on_device("advance_step", "step", device_vector<std::uint64_t>(step, 1));
  const cuda::operation call(ctx, "advance_step");
  call.launch(cuda::advance_step_kernel<std::uint64_t>, 1, 1, 0, step);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
