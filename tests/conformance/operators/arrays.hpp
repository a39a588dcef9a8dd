// Between a case's float64 tensors and a backend's arrays.
#pragma once

#include <cstddef>
#include <limits>
#include <vector>

#include "feaug/core/tensor_view.hpp"
#include "tensor.hpp"

namespace conformance {

/// The elements of a tensor, rounded to the type under test.
template <class T>
std::vector<T> rounded(const tensor& from) {
  std::vector<T> to;
  to.reserve(from.data.size());
  for (const double value : from.data) to.push_back(static_cast<T>(value));
  return to;
}

/// What outputs hold before an operator writes them: NaN, so that an element left unwritten fails.
template <class T>
std::vector<T> unwritten(std::size_t count) {
  return std::vector<T>(count, std::numeric_limits<T>::quiet_NaN());
}

/// What index outputs hold before: no valid index, and not the −1 that stands for none found.
inline std::vector<feaug::index_t> unwritten_indices(std::size_t count) {
  return std::vector<feaug::index_t>(count, -1000);
}

/// A view over `memory` of the tensor's shape: two axes or, for vectors and scalars, one.
template <class Backend, std::size_t Rank, class T>
feaug::tensor_view<T, Rank, Backend::space> view_of(typename Backend::template array<T>& memory,
                                                    const tensor& like) {
  if constexpr (Rank == 2) {
    return {memory.data(), like.shape.at(0), like.shape.at(1)};
  } else {
    return {memory.data(), static_cast<feaug::index_t>(like.data.size())};
  }
}

}  // namespace conformance
