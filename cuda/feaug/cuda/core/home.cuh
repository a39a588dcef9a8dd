// The stream and the GPU that a cuda_context belongs to: those of its first call.
#pragma once

#include "feaug/header_begin.hpp"

#include <cstddef>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>

#include "feaug/core/error.hpp"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/error.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda::inline FEAUG_CUBLAS_NAMESPACE {

/// A stream as text for messages.
inline std::string text_of(cudaStream_t stream) {
  if (stream == nullptr) return "the default stream";
  std::ostringstream text;
  text << "stream " << static_cast<const void*>(stream);
  return text.str();
}

/// The current GPU.
inline int current_device(std::string_view op) {
  int device = 0;
  succeed(op, "cudaGetDevice", cudaGetDevice(&device));
  return device;
}

/// Makes a GPU the current one while the object exists. Throws nothing: `is_current` says whether it
/// succeeded.
class device_scope {
 public:
  explicit device_scope(int device)
      : is_current_(cudaGetDevice(&before_) == cudaSuccess &&
                    (before_ == device || cudaSetDevice(device) == cudaSuccess)),
        changes_(is_current_ && before_ != device) {}
  device_scope(const device_scope&) = delete;
  device_scope& operator=(const device_scope&) = delete;
  ~device_scope() {
    if (changes_) static_cast<void>(cudaSetDevice(before_));
  }
  [[nodiscard]] bool is_current() const { return is_current_; }

 private:
  int before_ = 0;
  bool is_current_;
  bool changes_;
};

/// What a context's memory and handles belong to.
struct home {
  cudaStream_t stream = nullptr;
  int device = 0;
  /// Shared memory in bytes that a block of a tensor-core kernel may use; 0: the program or the GPU
  /// has no such kernels. Set at the first question.
  std::optional<std::size_t> tensor_core_shared = {};
};

/// Requires the stream and the GPU of the context's earlier calls, if there were any. With others,
/// two streams would use the same scratch memory at once, or kernels the memory of another GPU.
inline void require_home(const std::optional<home>& known, std::string_view op, cudaStream_t stream,
                         int device) {
  if (!known || (known->stream == stream && known->device == device)) return;
  const std::string_view remedy =
      ", as in the context's earlier calls (before another one, call cuda_context::reset())";
  if (known->stream != stream) {
    check::fail(op, "context.stream", text_of(stream),
                text_of(known->stream) + std::string(remedy));
  }
  check::fail(op, "the current GPU", check::text(device),
              check::text(known->device) + std::string(remedy));
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda

#include "feaug/header_end.hpp"
