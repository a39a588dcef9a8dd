// std::span as views, for contiguous data such as a std::vector. Nothing is copied.
#pragma once

#include "feaug/header_begin.hpp"

#include <cstddef>
#include <span>

#include "feaug/core/error.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// A span as a vector.
template <class T, std::size_t Extent>
vector_view<T> view(std::span<T, Extent> span) {
  return {span.data(), static_cast<index_t>(span.size())};
}

/// A span as a packed row-major matrix, rows × cols. Error: a span of another size.
template <class T, std::size_t Extent>
matrix_view<T> view(std::span<T, Extent> span, index_t rows, index_t cols) {
  const auto size = static_cast<index_t>(span.size());
  // Division instead of multiplication, since rows · cols may overflow.
  const bool fits = rows >= 0 && cols >= 0 &&
                    (rows == 0 || cols == 0 ? size == 0 : size % cols == 0 && size / cols == rows);
  if (!fits) {
    check::fail("view", "span", check::text(size) + " elements",
                check::text(rows) + " x " + check::text(cols));
  }
  return {span.data(), rows, cols};
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
