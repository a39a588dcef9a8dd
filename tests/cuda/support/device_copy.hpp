// A test_matrix in device memory, including its padding.
#pragma once

#include "cuda/support/device_array.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/cuda/core/context.cuh"
#include "support/test_matrix.hpp"

namespace device_test {

using feaug::index_t;

template <feaug::element T>
class device_copy {
 public:
  explicit device_copy(const testing::test_matrix<T>& host)
      : shape_(host), memory_(host.memory()) {}

  [[nodiscard]] feaug::device_matrix<T> view() const {
    return {memory_.data(), shape_.rows(), shape_.cols(), shape_.row_stride()};
  }
  [[nodiscard]] feaug::device_matrix<const T> const_view() const { return view(); }

  /// The current contents.
  [[nodiscard]] testing::test_matrix<T> host() const {
    testing::test_matrix<T> copy = shape_;
    copy.set_memory(memory_.to_host());
    return copy;
  }

 private:
  testing::test_matrix<T> shape_;
  device_array<T> memory_;
};

}  // namespace device_test
