// cuBLAS, used if its header is found (then link with it, or define FEAUG_NO_CUBLAS).
#pragma once

#include "feaug/header_begin.hpp"

#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "feaug/core/product_precision.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/version.hpp"

#if defined(FEAUG_HAS_CUBLAS)
#include <cublas_v2.h>
#endif

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cuda::inline FEAUG_CUBLAS_NAMESPACE {

/// A row-major matrix product C = A·op(B). Strides are distances between rows, in elements.
template <class C>
struct product {
  index_t rows = 0;     ///< of A and C
  index_t inner = 0;    ///< columns of A
  index_t columns = 0;  ///< of C
  const C* a = nullptr;
  index_t a_stride = 0;
  const C* b = nullptr;  ///< columns × inner if transposed, else inner × columns
  index_t b_stride = 0;
  bool b_transposed = false;
  C* c = nullptr;
  index_t c_stride = 0;
  bool adds = false;  ///< C += instead of C =
};

/// Workspace for products. cuBLAS would otherwise allocate its own while a stream is captured.
struct product_scratch {
  void* memory = nullptr;
  std::size_t bytes = 0;
};

#if defined(FEAUG_HAS_CUBLAS)

/// Owns a cuBLAS handle, created at the first product.
class cublas_handle {
 public:
  /// NVIDIA's recommendation for Hopper; 4 MiB suffice for other GPUs.
  static constexpr std::size_t scratch_bytes = std::size_t{32} << 20;

  cublas_handle() = default;
  cublas_handle(cublas_handle&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  cublas_handle& operator=(cublas_handle&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~cublas_handle() {
    if (handle_ != nullptr) cublasDestroy(handle_);
  }

  /// Enqueues the product on the stream; always true.
  template <class C>
  bool multiply(std::string_view op, cudaStream_t stream, product_precision precision,
                const product_scratch& scratch, const product<C>& what) {
    constexpr bool is_double = std::is_same_v<C, double>;
    if (handle_ == nullptr) succeed(op, "cublasCreate", cublasCreate(&handle_));
    succeed(op, "cublasSetStream", cublasSetStream(handle_, stream));
    // (cublasSetStream resets the workspace to cuBLAS's own, so the workspace is set after it.)
    succeed(op, "cublasSetWorkspace", cublasSetWorkspace(handle_, scratch.memory, scratch.bytes));
    const C one = 1;
    const C beta = what.adds ? 1 : 0;
    const cudaDataType_t type = is_double ? CUDA_R_64F : CUDA_R_32F;
    cublasComputeType_t compute = is_double ? CUBLAS_COMPUTE_64F : CUBLAS_COMPUTE_32F_PEDANTIC;
    if (!is_double && precision == product_precision::tf32) compute = CUBLAS_COMPUTE_32F_FAST_TF32;
    if (!is_double && precision == product_precision::bf16) compute = CUBLAS_COMPUTE_32F_FAST_16BF;
    // cuBLAS is column-major, so it computes Cᵀ = op(B)ᵀ·Aᵀ.
    const auto integer = [](index_t n) { return static_cast<int>(n); };
    succeed(
        op, "cublasGemmEx",
        cublasGemmEx(handle_, what.b_transposed ? CUBLAS_OP_T : CUBLAS_OP_N, CUBLAS_OP_N,
                     integer(what.columns), integer(what.rows), integer(what.inner), &one, what.b,
                     type, integer(what.b_stride), what.a, type, integer(what.a_stride), &beta,
                     what.c, type, integer(what.c_stride), compute, CUBLAS_GEMM_DEFAULT));
    return true;
  }

 private:
  static void succeed(std::string_view op, const char* call, cublasStatus_t status) {
    if (status == CUBLAS_STATUS_SUCCESS) return;
    throw std::runtime_error(std::string(op) + ": " + call + ": " + cublasGetStatusString(status));
  }

  cublasHandle_t handle_ = nullptr;
};

#else

class cublas_handle {
 public:
  static constexpr std::size_t scratch_bytes = 0;

  /// Always false: cuBLAS is not available.
  template <class C>
  static bool multiply(std::string_view /*op*/, cudaStream_t /*stream*/,
                       product_precision /*precision*/, const product_scratch& /*scratch*/,
                       const product<C>& /*what*/) {
    return false;
  }
};

#endif

}  // namespace cuda
}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
