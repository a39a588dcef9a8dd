// XLA's arrays as buffers. Nothing is copied: XLA's arrays are row-major.
#pragma once

#include <xla/ffi/api/ffi.h>

#include <cstdint>
#include <stdexcept>
#include <string>

#include "kernels.hpp"

namespace feaug_jax {

namespace ffi = xla::ffi;
using feaug_python::buffer;
using feaug_python::element_type;
using input = ffi::AnyBuffer;
using output = ffi::Result<ffi::AnyBuffer>;

/// Throws an argument error in feaug's form.
[[noreturn]] inline void refuse(const std::string& op, const std::string& argument,
                                const std::string& got, const std::string& wanted) {
  throw std::invalid_argument(op + ": " + argument + ": got " + got + ", wanted " + wanted);
}

inline element_type type_of(const std::string& op, const std::string& argument, const input& x) {
  switch (x.element_type()) {
    case ffi::F32:
      return element_type::float32;
    case ffi::F64:
      return element_type::float64;
    case ffi::F16:
      return element_type::float16;
    case ffi::BF16:
      return element_type::bfloat16;
    case ffi::S64:
      return element_type::int64;
    default:
      refuse(op, argument, "XLA's type " + std::to_string(static_cast<int>(x.element_type())),
             "float16, bfloat16, float32, float64 or int64");
  }
}

inline buffer matrix(const std::string& op, const std::string& argument, const input& x) {
  const auto extents = x.dimensions();
  if (extents.size() != 2)
    refuse(op, argument, std::to_string(extents.size()) + " axes", "2: rows, features");
  return {x.untyped_data(), type_of(op, argument, x), extents[0], extents[1], extents[1]};
}

/// An array as one column.
inline buffer vector(const std::string& op, const std::string& argument, const input& x) {
  return {x.untyped_data(), type_of(op, argument, x), static_cast<std::int64_t>(x.element_count()),
          1, 1};
}

/// 64-bit integers, `cols` in a row. By default JAX has none; then they are pairs of 32-bit words, the
/// lower word first.
inline buffer whole_numbers(const std::string& op, const std::string& argument, const input& x,
                            std::int64_t cols = 1) {
  std::size_t count = x.element_count();
  const bool is_pairs = x.element_type() == ffi::S32 || x.element_type() == ffi::U32;
  if (is_pairs ? count % 2 != 0 : x.element_type() != ffi::S64)
    refuse(op, argument,
           std::to_string(count) + " elements of XLA's type " +
               std::to_string(static_cast<int>(x.element_type())),
           "64-bit integers or pairs of 32-bit words");
  if (is_pairs) count /= 2;
  return {x.untyped_data(), element_type::int64, static_cast<std::int64_t>(count) / cols, cols,
          cols};
}

/// `count` 64-bit integers.
inline std::int64_t* counters(const std::string& op, const std::string& argument, const input& x,
                              std::int64_t count) {
  const buffer all = whole_numbers(op, argument, x);
  if (all.rows != count)
    refuse(op, argument, std::to_string(all.rows) + " integers", std::to_string(count));
  return static_cast<std::int64_t*>(all.data);
}

}  // namespace feaug_jax
