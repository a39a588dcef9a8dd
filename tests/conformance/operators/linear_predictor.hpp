// The predictor of the step cases: h(x) = x·Wᵀ.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "feaug/core/tensor_view.hpp"

namespace conformance {

/// W is D × D. Sums in double: the cases are about the step, not about this product.
template <class T>
class linear_predictor {
 public:
  linear_predictor(std::vector<T> weight, feaug::index_t dim)
      : weight_(std::move(weight)), gradient_(weight_.size()), dim_(dim) {}

  void forward(feaug::matrix_view<const T> input, feaug::matrix_view<T> output) const {
    for (feaug::index_t i = 0; i < input.rows(); ++i) {
      for (feaug::index_t o = 0; o < dim_; ++o) {
        double sum = 0;
        for (feaug::index_t j = 0; j < dim_; ++j) sum += product(input(i, j), weight_[at(o, j)]);
        output(i, o) = static_cast<T>(sum);
      }
    }
  }

  void backward(feaug::matrix_view<const T> input, feaug::matrix_view<const T> output_gradient,
                feaug::matrix_view<T> input_gradient) {
    for (feaug::index_t i = 0; i < input.rows(); ++i) {
      for (feaug::index_t j = 0; j < dim_; ++j) {
        double sum = 0;
        for (feaug::index_t o = 0; o < dim_; ++o) {
          sum += product(output_gradient(i, o), weight_[at(o, j)]);
          gradient_[at(o, j)] += product(output_gradient(i, o), input(i, j));
        }
        input_gradient(i, j) = static_cast<T>(sum);
      }
    }
  }

  /// By W, of all backward calls so far.
  [[nodiscard]] const std::vector<double>& gradient() const { return gradient_; }

 private:
  static double product(T a, T b) { return static_cast<double>(a) * static_cast<double>(b); }
  [[nodiscard]] std::size_t at(feaug::index_t row, feaug::index_t column) const {
    return static_cast<std::size_t>(row * dim_ + column);
  }

  std::vector<T> weight_;
  std::vector<double> gradient_;
  feaug::index_t dim_;
};

}  // namespace conformance
