// A view: pointer, extents and strides; the memory space is part of its type. It owns and copies
// nothing.
#pragma once

#include "feaug/header_begin.hpp"

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "feaug/core/macros.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Sizes, positions and strides. 64 bits, since a product of sizes easily exceeds 2³¹.
using index_t = std::int64_t;

/// The memory space of a view. It is part of the view's type, so that a device pointer cannot be
/// passed to a CPU operator.
enum class memory_space { host, device };

/// A view of `Rank` axes of memory owned by the caller. Strides are in elements. T may be const.
template <class T, std::size_t Rank, memory_space Space = memory_space::host>
struct tensor_view {
  T* data = nullptr;
  index_t extents[Rank] = {};
  index_t strides[Rank] = {};

  constexpr tensor_view() = default;

  /// A packed vector of `size` elements.
  FEAUG_HD constexpr tensor_view(T* pointer, index_t size) requires(Rank == 1)
      : data(pointer), extents{size}, strides{1} {}

  /// A packed matrix: row i begins at pointer + i · columns.
  FEAUG_HD constexpr tensor_view(T* pointer, index_t rows, index_t columns) requires(Rank == 2)
      : data(pointer), extents{rows, columns}, strides{columns, 1} {}

  /// A matrix whose rows are `row_stride` elements apart.
  FEAUG_HD constexpr tensor_view(T* pointer, index_t rows, index_t columns,
                                 index_t row_stride) requires(Rank == 2)
      : data(pointer), extents{rows, columns}, strides{row_stride, 1} {}

  /// Conversion from mutable to const; memory spaces never convert.
  template <class U>
  requires std::is_same_v<T, const U> FEAUG_HD constexpr tensor_view(
      const tensor_view<U, Rank, Space>& other)
      : data(other.data) {  // NOLINT(google-explicit-constructor)
    for (std::size_t axis = 0; axis < Rank; ++axis) {
      extents[axis] = other.extents[axis];
      strides[axis] = other.strides[axis];
    }
  }

  [[nodiscard]] FEAUG_HD constexpr bool empty() const {
    for (std::size_t axis = 0; axis < Rank; ++axis) {
      if (extents[axis] == 0) return true;
    }
    return false;
  }

  [[nodiscard]] FEAUG_HD constexpr index_t size() const requires(Rank == 1) { return extents[0]; }
  FEAUG_HD constexpr T& operator[](index_t i) const requires(Rank == 1) {
    return data[i * strides[0]];
  }

  [[nodiscard]] FEAUG_HD constexpr index_t rows() const requires(Rank == 2) { return extents[0]; }
  [[nodiscard]] FEAUG_HD constexpr index_t cols() const requires(Rank == 2) { return extents[1]; }
  [[nodiscard]] FEAUG_HD constexpr index_t row_stride() const requires(Rank == 2) {
    return strides[0];
  }
  [[nodiscard]] FEAUG_HD constexpr T* row(index_t i) const requires(Rank == 2) {
    return data + i * strides[0];
  }
  FEAUG_HD constexpr T& operator()(index_t i, index_t j) const requires(Rank == 2) {
    return data[i * strides[0] + j * strides[1]];
  }
  /// Rows begin … begin + count − 1.
  [[nodiscard]] FEAUG_HD constexpr tensor_view rows_from(index_t begin, index_t count) const
      requires(Rank == 2) {
    tensor_view part = *this;
    part.data = count == 0 ? data : row(begin);
    part.extents[0] = count;
    return part;
  }
};

/// N rows of D features: the input of nearly every operator.
template <class T, memory_space Space = memory_space::host>
using matrix_view = tensor_view<T, 2, Space>;

/// One number a row, or (with one element) a scalar output.
template <class T, memory_space Space = memory_space::host>
using vector_view = tensor_view<T, 1, Space>;

/// A vector parameter that cannot be `{}`. An operator that writes its result to a vector, and also
/// exists without it and returns the number, is then not ambiguous when called with `{}` for default
/// options.
template <class T, memory_space Space = memory_space::host>
struct required_vector : vector_view<T, Space> {
  // NOLINTNEXTLINE(google-explicit-constructor): any vector view may be passed
  FEAUG_HD constexpr required_vector(const vector_view<T, Space>& view)
      : vector_view<T, Space>(view) {}
  FEAUG_HD constexpr required_vector(T* pointer, index_t size)
      : vector_view<T, Space>(pointer, size) {}
};

/// A variable as a view of one element: `info_nce(ctx, q, k, scalar(loss), {…})`.
template <class T>
constexpr vector_view<T> scalar(T& variable) {
  return {&variable, 1};
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
