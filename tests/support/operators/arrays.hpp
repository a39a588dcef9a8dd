// Conversions between a case's float64 tensors and a backend's arrays.
#pragma once

#include <cstddef>
#include <limits>
#include <utility>
#include <vector>

#include "feaug/core/element.hpp"
#include "feaug/core/tensor_view.hpp"
#include "support/operators/tensor.hpp"

namespace conformance {

/// A number rounded to the type under test.
template <class T>
T rounded(double value) {
  if constexpr (feaug::element<T>) {
    return feaug::store<T>(static_cast<feaug::compute_t<T>>(value));
  } else {
    return static_cast<T>(value);
  }
}

/// The elements of a tensor, rounded to the type under test.
template <class T>
std::vector<T> rounded(const tensor& from) {
  std::vector<T> to;
  to.reserve(from.data.size());
  for (const double value : from.data) to.push_back(rounded<T>(value));
  return to;
}

/// Initial contents of outputs: NaN, so that an element that is not written fails the comparison.
template <class T>
std::vector<T> unwritten(std::size_t count) {
  return std::vector<T>(count, rounded<T>(std::numeric_limits<double>::quiet_NaN()));
}

/// Initial contents of index outputs: neither a valid index nor −1, which means "none found".
inline std::vector<feaug::index_t> unwritten_indices(std::size_t count) {
  return std::vector<feaug::index_t>(count, -1000);
}

/// The value between the rows of a matrix, which no operator may overwrite.
inline constexpr double canary = 77;

/// The rows of a tensor with `padding` canaries after each.
template <class T>
std::vector<T> with_padding(const std::vector<T>& rows, const tensor& like, std::int64_t padding) {
  if (padding == 0) return rows;
  std::vector<T> memory;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    memory.push_back(rows[i]);
    if ((static_cast<std::int64_t>(i) + 1) % like.shape.at(1) == 0)
      memory.insert(memory.end(), static_cast<std::size_t>(padding), rounded<T>(canary));
  }
  return memory;
}

/// The rows without padding, and the number of overwritten canaries.
template <class T>
std::pair<std::vector<T>, std::int64_t> without_padding(const std::vector<T>& memory,
                                                        const tensor& like, std::int64_t padding) {
  if (padding == 0) return {memory, 0};
  const std::int64_t cols = like.shape.at(1);
  std::vector<T> rows;
  std::int64_t damaged = 0;
  for (std::size_t i = 0; i < memory.size(); ++i) {
    if (static_cast<std::int64_t>(i) % (cols + padding) < cols) {
      rows.push_back(memory[i]);
    } else if (!(memory[i] == rounded<T>(canary))) {
      ++damaged;
    }
  }
  return {rows, damaged};
}

/// A view over `memory` with the tensor's shape: two axes or, for vectors and scalars, one.
template <class Backend, std::size_t Rank, class T, class Memory>
feaug::tensor_view<T, Rank, Backend::space> view_of(Memory& memory, const tensor& like,
                                                    std::int64_t padding = 0) {
  if constexpr (Rank == 2) {
    return {memory.data(), like.shape.at(0), like.shape.at(1), like.shape.at(1) + padding};
  } else {
    return {memory.data(), static_cast<feaug::index_t>(like.data.size())};
  }
}

/// A backend's memory or, if a case requires it, ordinary host memory instead.
template <class Backend, class T>
class placed_array {
 public:
  placed_array(std::vector<T> contents, bool misplaced)
      : memory_(contents), host_(std::move(contents)), misplaced_(misplaced) {}

  [[nodiscard]] T* data() { return misplaced_ ? host_.data() : memory_.data(); }
  [[nodiscard]] std::vector<T> to_host() const { return misplaced_ ? host_ : memory_.to_host(); }
  void assign(const std::vector<T>& contents) {
    memory_.assign(contents);
    host_ = contents;
  }

 private:
  typename Backend::template array<T> memory_;
  std::vector<T> host_;
  bool misplaced_;
};

}  // namespace conformance
