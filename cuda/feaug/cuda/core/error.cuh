// Exceptions for failed CUDA calls.
#pragma once

#include "feaug/header_begin.hpp"

#include <stdexcept>
#include <string>
#include <string_view>

#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Thrown if a CUDA call fails: "OPERATOR: CALL: TEXT (NAME)". As always in CUDA, the error may
/// come from earlier work on the device.
struct cuda_error : std::runtime_error {
  cuda_error(std::string_view op, std::string_view call, cudaError_t error)
      : std::runtime_error(std::string(op) + ": " + std::string(call) + ": " +
                           cudaGetErrorString(error) + " (" + cudaGetErrorName(error) + ")"),
        code(error) {}
  cudaError_t code;
};

namespace cuda::inline FEAUG_CUBLAS_NAMESPACE {

/// Throws cuda_error unless `result`, of a call that feaug made, is cudaSuccess. CUDA also keeps the
/// error for cudaGetLastError; that copy is cleared, so that nobody reports it a second time.
inline void succeed(std::string_view op, std::string_view call, cudaError_t result) {
  if (result == cudaSuccess) return;
  static_cast<void>(cudaGetLastError());
  throw cuda_error(op, call, result);
}

/// Throws cuda_error if an earlier CUDA call of other code has failed and nobody has asked for its
/// error yet. The error stays there for its owner.
inline void require_no_earlier_error(std::string_view op) {
  const cudaError_t earlier = cudaPeekAtLastError();
  switch (earlier) {
    case cudaSuccess:
      return;
    case cudaErrorNotReady:
      // The answer "not yet" of a query is no error, but CUB would take it for one.
      static_cast<void>(cudaGetLastError());
      return;
    case cudaErrorInsufficientDriver:
    case cudaErrorNoDevice:
      return;  // no earlier call need have failed; feaug's own next call reports it
    default:
      throw cuda_error(op, "an earlier CUDA call outside feaug failed", earlier);
  }
}

/// True if the stream is being captured for a graph.
inline bool is_capturing(std::string_view op, cudaStream_t stream) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  succeed(op, "cudaStreamIsCapturing", cudaStreamIsCapturing(stream, &status));
  return status != cudaStreamCaptureStatusNone;
}

}  // namespace cuda
}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
