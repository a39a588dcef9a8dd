// The output of an augmentation, and the cotangent of its backward pass.
#pragma once

#include <string>

#include "feaug/core/tensor_view.hpp"
#include "support/operators/arguments.hpp"
#include "support/operators/arrays.hpp"
#include "support/operators/results.hpp"
#include "support/operators/tensor.hpp"

namespace conformance {

/// The output of an augmentation, of x's shape.
template <class Backend, class T>
class augmentation_output {
 public:
  explicit augmentation_output(const tensor& x) : x_(x), out_(unwritten<T>(x.data.size())) {}

  [[nodiscard]] feaug::matrix_view<T, Backend::space> view() {
    return view_of<Backend, 2, T>(out_, x_);
  }
  void add(results& to, const std::string& route = "") const {
    to.add("out", x_.shape, out_.to_host(), route);
  }

 private:
  const tensor& x_;
  typename Backend::template array<T> out_;
};

/// The gradient with respect to `out`, from the case.
template <class Backend, class T>
class cotangent_input {
 public:
  explicit cotangent_input(arguments& given)
      : input_(given.input("grad_out", 2)), memory_(rounded<T>(input_)) {}

  [[nodiscard]] feaug::matrix_view<const T, Backend::space> view() {
    return view_of<Backend, 2, T>(memory_, input_);
  }

 private:
  const tensor& input_;
  typename Backend::template array<T> memory_;
};

}  // namespace conformance
