// Execution context of the CUDA operators.
#pragma once

#include "feaug/header_begin.hpp"

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
/// Every operator puts its work on the stream and returns. It does not synchronise and uses no
/// other stream. Scratch memory is kept between calls, so a call with a shape that has run before
/// allocates nothing and can be captured in a CUDA graph. Results are bitwise reproducible on one
/// GPU. One context serves one host thread and one stream at a time.
struct cuda_context {
  static constexpr memory_space space = memory_space::device;
  /// Scratch memory of one call, for augmentations that are composed of others and run in any
  /// context.
  using operation = cuda::operation;

  /// Null: the default stream.
  cudaStream_t stream = nullptr;
  /// Precision of the products of features in losses. It is lowered only on request; doubles stay
  /// doubles.
  product_precision precision = product_precision::fp32;
  /// Whether to use feaug's own tensor-core kernels (sm_80 and up): in losses with precision bf16
  /// and at most 256 features, and in searches. Off by default, because they have run only in the
  /// CPU emulation of CUDA (tests/simt), not yet on a GPU.
  bool tensor_cores = false;
  /// Allocator of scratch memory; null: cudaMallocAsync. Must outlive the context.
  device_memory_resource* resource = nullptr;
  /// Scratch memory, kept between calls. docs/cuda.md lists each operator's need.
  cuda::device_workspace workspace = {};
  /// The cuBLAS handle, created at the first product, if feaug is compiled with cuBLAS.
  cuda::cublas_handle cublas = {};
};

/// Views of device memory.
template <class T>
using device_matrix = matrix_view<T, memory_space::device>;
template <class T>
using device_vector = vector_view<T, memory_space::device>;

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
