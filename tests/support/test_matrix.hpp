// Matrices with their own memory, for tests: random contents, strided rows, and canary values after
// every row.
#pragma once

#include <catch2/catch.hpp>
#include <cstdint>
#include <random>
#include <vector>

#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/tensor_view.hpp"
#include "support/relative_error.hpp"

namespace testing {

using feaug::index_t;

/// `rows` × `cols` with `padding` elements after each row. The padding holds a canary value that no
/// operator may overwrite.
template <feaug::element T>
class test_matrix {
 public:
  using C = feaug::compute_t<T>;
  static constexpr float canary = 77.0F;

  test_matrix(index_t rows, index_t cols, index_t padding = 0)
      : rows_(rows),
        cols_(cols),
        stride_(cols + padding),
        data_(static_cast<std::size_t>(rows * stride_)) {
    for (T& x : data_) x = feaug::store<T>(static_cast<C>(canary));
    fill(0);
  }

  static test_matrix normal(index_t rows, index_t cols, unsigned seed, index_t padding = 0) {
    test_matrix m(rows, cols, padding);
    std::mt19937 generator(seed);
    std::normal_distribution<double> draw;
    for (index_t i = 0; i < rows; ++i) {
      for (index_t j = 0; j < cols; ++j) m.set(i, j, draw(generator));
    }
    return m;
  }

  [[nodiscard]] feaug::matrix_view<T> view() { return {data_.data(), rows_, cols_, stride_}; }
  [[nodiscard]] feaug::matrix_view<const T> view() const {
    return {data_.data(), rows_, cols_, stride_};
  }
  [[nodiscard]] index_t rows() const { return rows_; }
  [[nodiscard]] index_t cols() const { return cols_; }

  [[nodiscard]] double get(index_t i, index_t j) const {
    return static_cast<double>(feaug::load(data_[static_cast<std::size_t>(i * stride_ + j)]));
  }
  void set(index_t i, index_t j, double value) {
    data_[static_cast<std::size_t>(i * stride_ + j)] = feaug::store<T>(static_cast<C>(value));
  }
  void fill(double value) {
    for (index_t i = 0; i < rows_; ++i) {
      for (index_t j = 0; j < cols_; ++j) set(i, j, value);
    }
  }
  void fill_row(index_t i, double value) {
    for (index_t j = 0; j < cols_; ++j) set(i, j, value);
  }

  /// All elements in memory order, including padding, for copies to and from a device.
  [[nodiscard]] const std::vector<T>& memory() const { return data_; }
  void set_memory(const std::vector<T>& elements) {
    REQUIRE(elements.size() == data_.size());
    data_ = elements;
  }
  [[nodiscard]] index_t row_stride() const { return stride_; }

  /// Row-major contents.
  [[nodiscard]] std::vector<double> values() const {
    std::vector<double> all;
    for (index_t i = 0; i < rows_; ++i) {
      for (index_t j = 0; j < cols_; ++j) all.push_back(get(i, j));
    }
    return all;
  }

  [[nodiscard]] bool padding_intact() const {
    for (index_t i = 0; i < rows_; ++i) {
      for (index_t j = cols_; j < stride_; ++j) {
        if (static_cast<float>(feaug::load(data_[static_cast<std::size_t>(i * stride_ + j)])) !=
            canary)
          return false;
      }
    }
    return true;
  }

 private:
  index_t rows_;
  index_t cols_;
  index_t stride_;
  std::vector<T> data_;
};

/// Relative tolerance of an operator on T for exactly equal inputs: sums in double or float, one
/// rounding at the end.
template <class T>
double tolerance() {
  if constexpr (std::is_same_v<T, double>) return 1e-9;
  if constexpr (std::is_same_v<T, float>) return 5e-5;
  if constexpr (std::is_same_v<T, feaug::half>) return 2e-3;
  return 1e-2;  // bfloat16: eight bits of precision
}

}  // namespace testing
