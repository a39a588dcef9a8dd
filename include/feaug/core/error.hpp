// The exception for bad arguments, and the checks that every operator runs before it writes
// anything.
#pragma once

#include "feaug/header_begin.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

#include "feaug/core/argument_name.hpp"
#include "feaug/core/finite.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Thrown for every invalid argument: "OPERATOR: ARGUMENT: got …, wanted …". When it is thrown,
/// nothing has been written.
struct argument_error : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

namespace detail {

/// A vector as a matrix of one column, for overlap checks.
template <class T, memory_space S>
matrix_view<T, S> as_column(const vector_view<T, S>& view) {
  return {view.data, view.size(), 1, view.strides[0]};
}

}  // namespace detail

/// Argument checks. `op` is the operator's name and `argument` the argument's, for the message.
namespace check {

[[noreturn]] inline void fail(std::string_view op, std::string_view argument, std::string_view got,
                              std::string_view wanted) {
  std::ostringstream message;
  message << op << ": " << argument << ": got " << got << ", wanted " << wanted;
  throw argument_error(message.str());
}

template <class Number>
std::string text(const Number& number) {
  std::ostringstream out;
  out << number;
  return out.str();
}

template <class T, std::size_t Rank, memory_space S>
std::string shape(const tensor_view<T, Rank, S>& view) {
  std::ostringstream out;
  out << "shape (";
  for (std::size_t axis = 0; axis < Rank; ++axis)
    out << (axis == 0 ? "" : ", ") << view.extents[axis];
  out << ")";
  return out.str();
}

/// A readable view: no negative extent, no null pointer unless it is empty, contiguous features.
template <class T, memory_space S>
void readable(std::string_view op, std::string_view argument, const matrix_view<T, S>& view) {
  if (view.rows() < 0 || view.cols() < 0) fail(op, argument, shape(view), "extents of at least 0");
  if (view.empty()) return;
  if (view.data == nullptr)
    fail(op, argument, "a null pointer with " + shape(view), "a pointer to its elements");
  if (view.strides[1] != 1 && view.cols() > 1) {
    fail(op, argument, "stride " + text(view.strides[1]) + " along the features",
         "stride 1 (contiguous features)");
  }
  // A row stride of 0 repeats one row, as broadcasting does. A stride between 0 and the number of
  // columns makes rows overlap, which is an error.
  if (view.rows() > 1 && view.row_stride() != 0 && view.row_stride() < view.cols()) {
    fail(op, argument, "row stride " + text(view.row_stride()),
         "0 or at least " + text(view.cols()) + " (its columns)");
  }
}

template <class T, memory_space S>
void readable(std::string_view op, std::string_view argument, const vector_view<T, S>& view) {
  if (view.size() < 0) fail(op, argument, shape(view), "extents of at least 0");
  if (view.empty()) return;
  if (view.data == nullptr)
    fail(op, argument, "a null pointer with " + shape(view), "a pointer to its elements");
}

/// A writable view: readable, and no two elements share memory.
template <class T, memory_space S>
void writable(std::string_view op, std::string_view argument, const matrix_view<T, S>& view) {
  static_assert(!std::is_const_v<T>);
  readable(op, argument, view);
  if (view.rows() > 1 && !view.empty() && view.row_stride() < view.cols()) {
    fail(op, argument, "row stride " + text(view.row_stride()),
         "at least " + text(view.cols()) + " (its columns), since it is written");
  }
}

template <class T, memory_space S>
void writable(std::string_view op, std::string_view argument, const vector_view<T, S>& view) {
  static_assert(!std::is_const_v<T>);
  readable(op, argument, view);
  if (view.size() > 1 && view.strides[0] == 0)
    fail(op, argument, "stride 0", "distinct elements, since it is written");
}

template <class T, memory_space S>
void has_shape(std::string_view op, std::string_view argument, const matrix_view<T, S>& view,
               index_t rows, index_t cols, std::string_view as) {
  if (view.rows() == rows && view.cols() == cols) return;
  fail(op, argument, shape(view),
       "shape (" + text(rows) + ", " + text(cols) + ") as " + std::string(as));
}

template <class T, memory_space S>
void has_size(std::string_view op, std::string_view argument, const vector_view<T, S>& view,
              index_t size, std::string_view as) {
  if (view.size() == size) return;
  fail(op, argument, text(view.size()) + " elements", text(size) + " (" + std::string(as) + ")");
}

template <class T, memory_space S>
void has_columns(std::string_view op, std::string_view argument, const matrix_view<T, S>& view,
                 index_t cols, std::string_view as) {
  if (view.cols() == cols) return;
  fail(op, argument, text(view.cols()) + " columns", text(cols) + " as " + std::string(as));
}

template <class T, memory_space S>
void not_empty(std::string_view op, std::string_view argument, const matrix_view<T, S>& view) {
  if (view.rows() >= 1 && view.cols() >= 1) return;
  fail(op, argument, shape(view), "at least one row and one column");
}

/// A finite number above zero, for temperatures and eps.
inline void positive(std::string_view op, std::string_view argument, double value) {
  if (detail::is_finite(value) && value > 0) return;
  fail(op, argument, text(value), "a finite number above 0");
}

inline void finite(std::string_view op, std::string_view argument, double value) {
  if (detail::is_finite(value)) return;
  fail(op, argument, text(value), "a finite number");
}

inline void within(std::string_view op, std::string_view argument, double value, double low,
                   double high) {
  if (!detail::is_nan(value) && value >= low && value <= high) return;
  fail(op, argument, text(value), "a number from " + text(low) + " to " + text(high));
}

inline void within(std::string_view op, std::string_view argument, index_t value, index_t low,
                   index_t high) {
  if (value >= low && value <= high) return;
  fail(op, argument, text(value), "a number from " + text(low) + " to " + text(high));
}

/// Whether two matrices share an element. Disjoint column ranges of one matrix do not overlap, nor
/// does a vector in the gaps between rows.
template <class A, class B, memory_space S>
bool overlap(const matrix_view<A, S>& a, const matrix_view<B, S>& b) {
  if (a.empty() || b.empty()) return false;
  const auto width = [](const auto& v) {
    return static_cast<std::uintptr_t>(v.cols()) * sizeof(*v.data);
  };
  const auto pitch = [](const auto& v) {
    return static_cast<std::uintptr_t>(std::abs(v.row_stride())) * sizeof(*v.data);
  };
  const auto length = [&](const auto& v) {
    return static_cast<std::uintptr_t>(v.rows() - 1) * pitch(v);
  };
  // With a negative stride the last row has the lowest address.
  const auto first = [&](const auto& v) {
    return reinterpret_cast<std::uintptr_t>(v.data) - (v.row_stride() < 0 ? length(v) : 0);
  };
  const auto last = [&](const auto& v) { return first(v) + length(v) + width(v); };
  if (last(a) <= first(b) || last(b) <= first(a)) return false;
  const auto has_gaps = [&](const auto& v) { return v.rows() > 1 && pitch(v) > width(v); };
  // Whether `inner`, of rows that are `bytes` long, lies in the gaps between the rows of `outer`.
  const auto is_in_gaps = [&](const auto& outer, const auto& inner, std::uintptr_t bytes) {
    // `inner` starts `shift` bytes into a row of `outer`.
    const std::uintptr_t shift =
        first(inner) >= first(outer)
            ? (first(inner) - first(outer)) % pitch(outer)
            : pitch(outer) - 1 - (first(outer) - first(inner) - 1) % pitch(outer);
    return shift >= width(outer) && shift + bytes <= pitch(outer);
  };
  if (has_gaps(a) && has_gaps(b)) return pitch(a) != pitch(b) || !is_in_gaps(a, b, width(b));
  if (has_gaps(a)) return !is_in_gaps(a, b, last(b) - first(b));
  if (has_gaps(b)) return !is_in_gaps(b, a, last(a) - first(a));
  return true;
}

/// An output that must not overlap an input.
template <class A, class B, memory_space S>
void apart(std::string_view op, std::string_view output, const matrix_view<A, S>& out,
           std::string_view input, const matrix_view<B, S>& in) {
  if (overlap(out, in)) {
    fail(op, output, "memory that overlaps " + std::string(input), "memory of its own");
  }
}

template <class A, class B, memory_space S>
void apart(std::string_view op, std::string_view output, const vector_view<A, S>& out,
           std::string_view input, const vector_view<B, S>& in) {
  apart(op, output, detail::as_column(out), input, detail::as_column(in));
}

/// An output that may be the input itself (same pointer, same strides) but must not overlap it in
/// any other way.
template <class A, class B, memory_space S>
void apart_or_same(std::string_view op, std::string_view output, const matrix_view<A, S>& out,
                   std::string_view input, const matrix_view<B, S>& in) {
  const bool same = std::is_same_v<std::remove_const_t<A>, std::remove_const_t<B>> &&
                    static_cast<const void*>(out.data) == static_cast<const void*>(in.data) &&
                    (out.row_stride() == in.row_stride() || out.rows() <= 1);
  if (!same && overlap(out, in)) {
    fail(op, output, "memory that partly overlaps " + std::string(input),
         "the same view or memory of its own");
  }
}

/// A valid operand: its value is readable; if it wants a gradient, the destination has the value's
/// shape and is writable.
template <class T, std::size_t Rank, memory_space S>
void valid(std::string_view op, std::string_view argument, const operand<T, Rank, S>& x) {
  readable(op, argument, x.value);
  if (!x.wants_gradient()) return;
  const argument_name name("gradient of ", argument);
  if constexpr (Rank == 2) {
    has_shape(op, name, x.gradient, x.value.rows(), x.value.cols(), argument);
    writable(op, name, x.gradient);
    apart(op, name, x.gradient, argument, x.value);
  } else {
    has_size(op, name, x.gradient, x.value.size(), argument);
    writable(op, name, x.gradient);
  }
}

/// The destination of x's gradient overlaps neither y's value nor y's destination, and vice versa.
template <class T, memory_space S>
void apart(std::string_view op, std::string_view argument, const operand<T, 2, S>& x,
           std::string_view other, const operand<T, 2, S>& y) {
  const argument_name of_x("gradient of ", argument);
  const argument_name of_y("gradient of ", other);
  if (x.wants_gradient()) apart(op, of_x, x.gradient, other, y.value);
  if (y.wants_gradient()) apart(op, of_y, y.gradient, argument, x.value);
  if (x.wants_gradient() && y.wants_gradient()) apart(op, of_x, x.gradient, of_y, y.gradient);
}

}  // namespace check
}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
