// The predictor of the step cases: h(x) = x·Wᵀ.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "feaug/core/tensor_view.hpp"

namespace conformance {

/// W is D × D. Computed on the host for every backend, with sums in double, because the cases test
/// the step and not this product.
template <class Backend, class T>
class linear_predictor {
  using input_view = feaug::matrix_view<const T, Backend::space>;
  using output_view = feaug::matrix_view<T, Backend::space>;

 public:
  linear_predictor(std::vector<T> weight, feaug::index_t dim)
      : weight_(std::move(weight)), gradient_(weight_.size()), dim_(dim) {}

  void forward(input_view input, output_view output) const {
    const std::vector<T> x = Backend::read(input);
    std::vector<T> y;
    for (feaug::index_t i = 0; i < input.rows(); ++i) {
      for (feaug::index_t o = 0; o < dim_; ++o) {
        double sum = 0;
        for (feaug::index_t j = 0; j < dim_; ++j) sum += product(x[at(i, j)], weight_[at(o, j)]);
        y.push_back(static_cast<T>(sum));
      }
    }
    Backend::write(output, y);
  }

  void backward(input_view input, input_view output_gradient, output_view input_gradient) {
    const std::vector<T> x = Backend::read(input);
    const std::vector<T> g = Backend::read(output_gradient);
    std::vector<T> dx;
    for (feaug::index_t i = 0; i < input.rows(); ++i) {
      for (feaug::index_t j = 0; j < dim_; ++j) {
        double sum = 0;
        for (feaug::index_t o = 0; o < dim_; ++o) {
          sum += product(g[at(i, o)], weight_[at(o, j)]);
          gradient_[at(o, j)] += product(g[at(i, o)], x[at(i, j)]);
        }
        dx.push_back(static_cast<T>(sum));
      }
    }
    Backend::write(input_gradient, dx);
  }

  /// The gradient with respect to W, summed over all backward calls so far.
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
