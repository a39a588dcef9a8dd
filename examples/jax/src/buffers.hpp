// XLA's buffers as feaug's views and operands. Nothing is copied: XLA's arrays are row-major.
#pragma once

#include <cstdint>
#include <feaug/core/element.hpp>
#include <feaug/core/error.hpp>
#include <feaug/core/operand.hpp>
#include <feaug/core/tensor_view.hpp>
#include <string>
#include <string_view>
#include <type_traits>

#include "handler.hpp"

namespace feaug_jax {

using input = ffi::AnyBuffer;
using output = ffi::Result<ffi::AnyBuffer>;
using feaug::index_t;
inline constexpr feaug::memory_space space = context::space;
template <class T>
using matrix_view = feaug::matrix_view<T, space>;
template <class T>
using vector_view = feaug::vector_view<T, space>;

template <class T>
constexpr ffi::DataType type_of() {
  if constexpr (std::is_same_v<T, feaug::half>) return ffi::F16;
  if constexpr (std::is_same_v<T, feaug::bfloat16>) return ffi::BF16;
  if constexpr (std::is_same_v<T, float>) return ffi::F32;
  if constexpr (std::is_same_v<T, double>) return ffi::F64;
  if constexpr (std::is_same_v<T, std::int32_t>) return ffi::S32;
  if constexpr (std::is_same_v<T, std::uint32_t>) return ffi::U32;
}

/// The elements of a buffer; throws if they are not T.
template <class T>
T* elements(std::string_view op, std::string_view argument, const ffi::AnyBuffer& buffer) {
  if (buffer.element_type() != type_of<T>()) {
    feaug::check::fail(op, argument,
                       "elements of type " + feaug::check::text(buffer.element_type()),
                       "type " + feaug::check::text(type_of<T>()) + " (XLA's numbers)");
  }
  return static_cast<T*>(buffer.untyped_data());
}

template <class T>
matrix_view<T> matrix(std::string_view op, std::string_view argument,
                      const ffi::AnyBuffer& buffer) {
  const auto extents = buffer.dimensions();
  if (extents.size() != 2)
    feaug::check::fail(op, argument, std::to_string(extents.size()) + " axes", "2: rows, features");
  return {elements<T>(op, argument, buffer), extents[0], extents[1]};
}

template <class T>
vector_view<T> vector(std::string_view op, std::string_view argument,
                      const ffi::AnyBuffer& buffer) {
  return {elements<T>(op, argument, buffer), static_cast<index_t>(buffer.element_count())};
}

/// By default JAX has no 64-bit integers; they are passed as pairs of 32-bit words, the lower word
/// first.
template <class T>
requires(sizeof(T) == 8) T* pairs(std::string_view op, std::string_view argument,
                                  const ffi::AnyBuffer& buffer, index_t count) {
  using word = std::conditional_t<std::is_signed_v<T>, std::int32_t, std::uint32_t>;
  const vector_view<word> words = vector<word>(op, argument, buffer);
  feaug::check::has_size(op, argument, words, 2 * count, "two words a number");
  return reinterpret_cast<T*>(words.data);
}

/// An input whose gradient goes to `gradient`, which is an empty result if none is requested.
template <class T>
feaug::operand<T, 2, space> side(std::string_view op, std::string_view argument,
                                 const ffi::AnyBuffer& value,
                                 ffi::Result<ffi::AnyBuffer>& gradient) {
  const matrix_view<const T> view = matrix<T>(op, argument, value);
  if (gradient->element_count() == 0) return feaug::stop_gradient(view);
  return feaug::differentiable(view, matrix<T>(op, argument, *gradient));
}

/// Calls body(T{}) with the element type T of the buffer.
template <class Body>
void with_element(std::string_view op, std::string_view argument, const ffi::AnyBuffer& buffer,
                  const Body& body) {
  switch (buffer.element_type()) {
    case ffi::F32:
      return body(float{});
    case ffi::F64:
      return body(double{});
    case ffi::F16:
      return body(feaug::half{});
    case ffi::BF16:
      return body(feaug::bfloat16{});
    default:
      feaug::check::fail(op, argument,
                         "elements of type " + feaug::check::text(buffer.element_type()),
                         "float16, bfloat16, float32 or float64");
  }
}

}  // namespace feaug_jax
