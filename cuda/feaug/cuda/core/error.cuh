// What CUDA refuses becomes an exception with the operator's name and CUDA's own text.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

#include "feaug/cuda/core/platform.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Thrown where a CUDA call fails: "OPERATOR: CALL: TEXT (NAME)". An error of earlier work on the
/// device may surface here as well, as everywhere in CUDA.
struct cuda_error : std::runtime_error {
  cuda_error(std::string_view op, std::string_view call, cudaError_t error)
      : std::runtime_error(std::string(op) + ": " + std::string(call) + ": " +
                           cudaGetErrorString(error) + " (" + cudaGetErrorName(error) + ")"),
        code(error) {}
  cudaError_t code;
};

namespace cuda {

inline void succeed(std::string_view op, std::string_view call, cudaError_t result) {
  if (result != cudaSuccess) throw cuda_error(op, call, result);
}

/// Whether what is given to the stream is recorded for a graph.
inline bool is_capturing(std::string_view op, cudaStream_t stream) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  succeed(op, "cudaStreamIsCapturing", cudaStreamIsCapturing(stream, &status));
  return status != cudaStreamCaptureStatusNone;
}

}  // namespace cuda
}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
