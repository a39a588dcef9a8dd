// std::span as views: whatever lies in one piece, such as a std::vector. Nothing is copied.
#pragma once

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

/// A span as rows × cols, packed row after row. Error: a span of any other size.
template <class T, std::size_t Extent>
matrix_view<T> view(std::span<T, Extent> span, index_t rows, index_t cols) {
  const auto size = static_cast<index_t>(span.size());
  // Divided, not multiplied: rows · cols may be out of range.
  const bool fits = rows >= 0 && cols >= 0 &&
                    (rows == 0 || cols == 0 ? size == 0 : size % cols == 0 && size / cols == rows);
  if (!fits) {
    check::fail("view", "span", check::text(size) + " elements",
                check::text(rows) + " x " + check::text(cols));
  }
  return {span.data(), rows, cols};
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
