// What the operators' functions ask of a backend, for the CPU: where memory lies, a context, and
// arrays.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"

namespace conformance {

struct cpu_backend {
  static constexpr feaug::memory_space space = feaug::memory_space::host;
  using context = feaug::cpu_context;

  /// Memory that operators read and write; begins as a copy of `host`.
  template <class T>
  class array {
   public:
    explicit array(std::vector<T> host) : memory_(std::move(host)) {}

    T* data() { return memory_.data(); }
    void assign(std::vector<T> host) { memory_ = std::move(host); }
    [[nodiscard]] std::vector<T> to_host() const { return memory_; }

   private:
    std::vector<T> memory_;
  };

  /// The elements of a matrix, row by row, and their way into one.
  template <class T>
  static std::vector<T> read(const feaug::matrix_view<const T>& from) {
    std::vector<T> elements;
    for (feaug::index_t i = 0; i < from.rows(); ++i)
      elements.insert(elements.end(), from.row(i), from.row(i) + from.cols());
    return elements;
  }
  template <class T>
  static void write(const feaug::matrix_view<T>& to, const std::vector<T>& elements) {
    for (feaug::index_t i = 0; i < to.rows(); ++i)
      std::copy_n(elements.begin() + i * to.cols(), to.cols(), to.row(i));
  }
};

}  // namespace conformance
