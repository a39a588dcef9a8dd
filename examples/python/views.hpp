// Converts untyped buffers (pointer, element type, shape) to feaug's typed
// views and operands (an operand is an input and where its gradient goes).
#pragma once

#include <cstdint>
#include <feaug/core/element.hpp>
#include <feaug/core/error.hpp>
#include <feaug/core/operand.hpp>
#include <feaug/core/tensor_view.hpp>
#include <string_view>
#include <type_traits>

#if defined(FEAUG_PYTHON_CUDA)
#include "cuda_backend.hpp"
#else
#include "cpu_backend.hpp"
#endif

namespace feaug_python {

using feaug::index_t;
inline constexpr feaug::memory_space space = context::space;
template <class T>
using matrix_view = feaug::matrix_view<T, space>;
template <class T>
using vector_view = feaug::vector_view<T, space>;
template <class T, std::size_t Rank = 2>
using operand = feaug::operand<T, Rank, space>;
template <class T>
inline constexpr std::type_identity<T> element_of{};

inline std::string_view name_of(element_type type) {
  switch (type) {
    case element_type::float16:
      return "float16";
    case element_type::bfloat16:
      return "bfloat16";
    case element_type::float32:
      return "float32";
    case element_type::float64:
      return "float64";
    case element_type::int64:
      break;
  }
  return "int64";
}

template <class T>
constexpr element_type type_of() {
  if constexpr (std::is_same_v<T, feaug::half>) return element_type::float16;
  if constexpr (std::is_same_v<T, feaug::bfloat16>) return element_type::bfloat16;
  if constexpr (std::is_same_v<T, float>) return element_type::float32;
  if constexpr (std::is_same_v<T, double>) return element_type::float64;
  if constexpr (std::is_same_v<T, std::int64_t>) return element_type::int64;
}

/// The elements of a buffer; throws if they are not T. Null for an absent buffer.
template <class T>
T* elements(std::string_view op, std::string_view argument, const buffer& from) {
  if (from.data != nullptr && from.type != type_of<T>())
    feaug::check::fail(op, argument, name_of(from.type), name_of(type_of<T>()));
  return static_cast<T*>(from.data);
}

template <class T>
matrix_view<T> matrix(std::string_view op, std::string_view argument, const buffer& from) {
  return {elements<T>(op, argument, from), from.rows, from.cols, from.row_stride};
}

/// An array with one axis; its buffer has one column.
template <class T>
vector_view<T> vector(std::string_view op, std::string_view argument, const buffer& from) {
  vector_view<T> all(elements<T>(op, argument, from), from.rows);
  all.strides[0] = from.row_stride;
  return all;
}

template <class T>
operand<T> side_of(std::string_view op, std::string_view argument, const side& from) {
  const matrix_view<const T> value = matrix<T>(op, argument, from.value);
  if (from.gradient.data == nullptr) return feaug::stop_gradient(value);
  return feaug::differentiable(value, matrix<T>(op, argument, from.gradient));
}

template <class T>
operand<T, 1> number_of(std::string_view op, std::string_view argument, const side& from) {
  const vector_view<const T> value = vector<T>(op, argument, from.value);
  if (from.gradient.data == nullptr) return feaug::stop_gradient(value);
  return feaug::differentiable(value, vector<T>(op, argument, from.gradient));
}

/// Calls body(element_of<T>) with the element type T of the buffer.
template <class Body>
void with_element(std::string_view op, std::string_view argument, const buffer& from,
                  const Body& body) {
  switch (from.type) {
    case element_type::float32:
      return body(element_of<float>);
    case element_type::float64:
      return body(element_of<double>);
    case element_type::float16:
      return body(element_of<feaug::half>);
    case element_type::bfloat16:
      return body(element_of<feaug::bfloat16>);
    case element_type::int64:
      feaug::check::fail(op, argument, "int64", "float16, bfloat16, float32 or float64");
  }
}

}  // namespace feaug_python
