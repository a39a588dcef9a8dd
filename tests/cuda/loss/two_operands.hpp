// Inputs of an operator, for comparing a GPU with the CPU.
#pragma once

#include <catch2/catch.hpp>
#include <vector>

#include "cuda/support/device_copy.hpp"
#include "feaug/core/operand.hpp"
#include "support/test_matrix.hpp"

namespace device_test {

/// An input and its gradient, on the host and on the device.
template <class T>
class two_operands {
 public:
  two_operands(const testing::test_matrix<T>& value, feaug::gradient_mode mode)
      : value_(value),
        gradient_(testing::test_matrix<T>::normal(value.rows(), value.cols(), 50, 1)),
        device_value_(value),
        device_gradient_(gradient_),
        mode_(mode) {}

  [[nodiscard]] feaug::operand<T> host() {
    if (mode_ == feaug::gradient_mode::none) return feaug::stop_gradient(value_.view());
    return {value_.view(), gradient_.view(), mode_};
  }
  [[nodiscard]] feaug::operand<T, 2, feaug::memory_space::device> device() {
    if (mode_ == feaug::gradient_mode::none) return feaug::stop_gradient(device_value_.view());
    return {device_value_.view(), device_gradient_.view(), mode_};
  }
  void check() const {
    CHECK(device_gradient_.host().padding_intact());
    CHECK(testing::relative_error(device_gradient_.host().values(), gradient_.values()) <=
          testing::tolerance<T>());
  }

 private:
  testing::test_matrix<T> value_;
  testing::test_matrix<T> gradient_;
  device_copy<T> device_value_;
  device_copy<T> device_gradient_;
  feaug::gradient_mode mode_;
};

/// A loss is a difference of logits larger than 1. If it is near 0, mostly their rounding errors
/// remain.
template <class C>
void check_close(const std::vector<C>& got, const std::vector<C>& want, double tolerance) {
  constexpr double floor = 1e-2;
  CHECK(testing::relative_error(std::vector<double>(got.begin(), got.end()),
                                std::vector<double>(want.begin(), want.end()), floor) <= tolerance);
}

}  // namespace device_test
