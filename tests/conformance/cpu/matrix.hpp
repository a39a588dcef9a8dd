// A case's tensor as the memory that an operator reads or writes.
#pragma once

#include <cmath>
#include <cstddef>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "../arguments.hpp"
#include "../results.hpp"
#include "../tensor.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/tensor_view.hpp"

namespace conformance::cpu {

using feaug::index_t;

/// N × D numbers of type T. A fresh one holds NaN, so that an element that nobody wrote fails its
/// case.
template <class T>
struct matrix {
  index_t rows = 0;
  index_t cols = 0;
  std::vector<T> data;

  matrix() = default;
  matrix(index_t row_count, index_t col_count)
      : rows(row_count),
        cols(col_count),
        data(static_cast<std::size_t>(row_count * col_count), std::numeric_limits<T>::quiet_NaN()) {
  }
  explicit matrix(const tensor& from) : matrix(from.shape.at(0), from.shape.at(1)) {
    for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<T>(from.data[i]);
  }

  feaug::matrix_view<T> view() { return {data.data(), rows, cols}; }
};

template <class T>
std::vector<T> numbers(const tensor& from) {
  std::vector<T> all;
  for (const double x : from.data) all.push_back(static_cast<T>(x));
  return all;
}

/// An input and, unless the case stops it, the destination of its gradient.
template <class T>
class variable {
 public:
  variable(arguments& given, std::string name)
      : name_(std::move(name)), value_(given.input(name_, 2)), stopped_(given.stopped(name_)) {
    if (!stopped_) gradient_ = matrix<T>(value_.rows, value_.cols);
  }

  [[nodiscard]] index_t rows() const { return value_.rows; }
  [[nodiscard]] index_t cols() const { return value_.cols; }
  feaug::matrix_view<T> view() { return value_.view(); }

  feaug::operand<T> operand() {
    return stopped_ ? feaug::stop_gradient(value_.view())
                    : feaug::differentiable(value_.view(), gradient_.view());
  }

  /// Puts the gradient into the results and unwrites it.
  void report(results& out, const std::string& route = "") {
    if (stopped_) return;
    out.add("grad_" + name_, {value_.rows, value_.cols}, gradient_.data, route);
    gradient_ = matrix<T>(value_.rows, value_.cols);
  }

 private:
  std::string name_;
  matrix<T> value_;
  bool stopped_;
  matrix<T> gradient_;
};

/// A constant input. The case must say that it is one.
template <class T>
matrix<T> constant(arguments& given, const std::string& name) {
  if (!given.stopped(name))
    throw std::runtime_error("inputs." + name + " has no gradient: stop_gradient must name it");
  return matrix<T>(given.input(name, 2));
}

}  // namespace conformance::cpu
