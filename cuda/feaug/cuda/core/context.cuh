// Where and with what an operator runs on a GPU.
#pragma once

#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/cublas.cuh"
#include "feaug/cuda/core/device_memory.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cuda {
class operation;
}

/// A stream and reusable scratch memory. `feaug::cuda_context ctx{.stream = stream};`
///
/// Every operator puts its work on the stream and returns: nothing synchronises, nothing goes to
/// another stream. Scratch memory is kept between calls, so that a call of a shape that was run
/// before allocates nothing and can be captured in a CUDA graph. Results are the same bits on every
/// run on one GPU. One context serves one host thread and one stream at a time.
struct cuda_context {
  static constexpr memory_space space = memory_space::device;
  /// One call's scratch memory, for augmentations made of others, which run in any context.
  using operation = cuda::operation;

  /// Null: the default stream.
  cudaStream_t stream = nullptr;
  /// What losses multiply features in. Never lowered unless asked for; doubles stay doubles.
  product_precision precision = product_precision::fp32;
  /// Whether to use the kernels that multiply on tensor cores themselves (sm_80 and up): in losses
  /// at precision bf16 with at most 256 features, and in searches. Off: they have run on the test
  /// executor alone, on no GPU yet.
  bool tensor_cores = false;
  /// Where scratch memory comes from; null: cudaMallocAsync. Must outlive the context.
  device_memory_resource* resource = nullptr;
  /// Scratch memory, kept between calls. See docs/cuda.md for each operator's need.
  cuda::device_workspace workspace = {};
  /// cuBLAS, from the first product on, where it is at hand.
  cuda::cublas_handle cublas = {};
};

/// Views of device memory.
template <class T>
using device_matrix = matrix_view<T, memory_space::device>;
template <class T>
using device_vector = vector_view<T, memory_space::device>;

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
