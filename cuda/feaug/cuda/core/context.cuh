// Execution context of the CUDA operators.
#pragma once

#include "feaug/header_begin.hpp"

#include <optional>
#include <string_view>

#include "feaug/core/basic_workspace.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/cublas.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/device_memory.cuh"
#include "feaug/cuda/core/error.cuh"
#include "feaug/cuda/core/home.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cuda::inline FEAUG_CUBLAS_NAMESPACE {
class operation;
}

inline namespace FEAUG_CUBLAS_NAMESPACE {

/// A stream and reusable scratch memory. `feaug::cuda_context ctx{.stream = stream};`
///
/// Every operator puts its work on the stream and returns. It does not synchronise and uses no
/// other stream. Scratch memory is kept between calls, so a call with a shape that has run before
/// allocates nothing and can be captured in a CUDA graph. Results are bitwise reproducible on one
/// GPU. One context serves one host thread, one stream and one GPU: those of its first call. A later
/// call with another stream or another current GPU throws.
///
/// A captured graph uses the context's scratch memory: keep the context while the graph is used,
/// and launch the graph on the context's stream. The context may outlive its stream, because its
/// destructor waits for the whole GPU instead of using the stream. Therefore do not destroy it while
/// any stream of the GPU is captured; reset() before the capture waits for its own stream alone.
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
  /// Whether feaug's own tensor-core kernels may be used: in losses with precision bf16 and at most
  /// 256 features, and in searches. They need a program compiled for sm_80 or later (nvcc -arch; its
  /// default is older) and a GPU with enough shared memory; otherwise the other kernels are used
  /// (feaug::has_tensor_cores tells). Off by default, because they have run only in the CPU
  /// emulation of CUDA (tests/simt), not yet on a GPU.
  bool tensor_cores = false;
  /// Allocator of scratch memory; null: cudaMallocAsync. Must outlive the context.
  device_memory_resource* resource = nullptr;
  /// Scratch memory, kept between calls. docs/cuda.md lists each operator's need.
  cuda::device_workspace workspace = {};
  /// The cuBLAS handle, created at the first product, if feaug is compiled with cuBLAS.
  cuda::cublas_handle cublas = {};
  /// Stream and GPU of the calls so far.
  std::optional<cuda::home> home = {};

  /// Waits for the stream, which must exist, and frees scratch memory and handles. The next call may
  /// use another stream and another GPU. No graph that was captured with the context may be launched
  /// afterwards. Throws cuda_error if the stream is captured or the GPU has failed.
  void reset() {
    if (!home) return;
    constexpr std::string_view op = "cuda_context::reset";
    const cuda::device_scope on(home->device);
    if (cuda::is_capturing(op, home->stream))
      throw cuda_error(op, "the stream is captured", cudaErrorStreamCaptureUnsupported);
    cuda::succeed(op, "cudaStreamSynchronize", cudaStreamSynchronize(home->stream));
    workspace.clear(workspace_freed::in_call);
    cublas = {};
    home.reset();
  }
};

}  // namespace FEAUG_CUBLAS_NAMESPACE

/// Views of device memory.
template <class T>
using device_matrix = matrix_view<T, memory_space::device>;
template <class T>
using device_vector = vector_view<T, memory_space::device>;

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
