// Device memory for tests: initialised from host values, and copied back for checks.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "feaug/core/tensor_view.hpp"

namespace device_test {

inline void succeed(cudaError_t result) {
  if (result != cudaSuccess)
    throw std::runtime_error(std::string("test memory: ") + cudaGetErrorString(result));
}

template <class T>
class device_array {
 public:
  explicit device_array(const std::vector<T>& host) { assign(host); }
  device_array(device_array&& other) noexcept
      : memory_(std::exchange(other.memory_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  device_array& operator=(device_array&& other) noexcept {
    std::swap(memory_, other.memory_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~device_array() { cudaFree(memory_); }

  [[nodiscard]] T* data() const { return memory_; }
  [[nodiscard]] std::size_t size() const { return size_; }

  /// In place if the size is unchanged, so that views remain valid.
  void assign(const std::vector<T>& host) {
    if (host.size() != size_) {
      cudaFree(memory_);
      memory_ = nullptr;
      size_ = host.size();
      if (host.empty()) return;
      void* memory = nullptr;
      succeed(cudaMalloc(&memory, size_ * sizeof(T)));
      memory_ = static_cast<T*>(memory);
    }
    if (host.empty()) return;
    succeed(cudaMemcpy(memory_, host.data(), size_ * sizeof(T), cudaMemcpyHostToDevice));
  }

  [[nodiscard]] std::vector<T> to_host() const {
    std::vector<T> host(size_);
    if (size_ > 0)
      succeed(cudaMemcpy(host.data(), memory_, size_ * sizeof(T), cudaMemcpyDeviceToHost));
    return host;
  }

 private:
  T* memory_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace device_test
