// Exceptions for failed CUDA calls.
#pragma once

#include "feaug/header_begin.hpp"

#include <stdexcept>
#include <string>
#include <string_view>

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

namespace cuda {

/// Throws cuda_error unless `result` is cudaSuccess.
inline void succeed(std::string_view op, std::string_view call, cudaError_t result) {
  if (result != cudaSuccess) throw cuda_error(op, call, result);
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
