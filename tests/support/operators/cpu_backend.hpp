// The CPU backend of the operators' functions: memory space, context, arrays.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/instances.hpp"
#include "support/operators/arguments.hpp"
#include "support/sanitizer.hpp"

namespace conformance {

struct cpu_backend {
  static constexpr feaug::memory_space space = feaug::memory_space::host;
  using context = feaug::cpu_context;
  static context context_for(const arguments& given) {
    return {.threads = given.threads(), .instructions = given.instructions()};
  }

  /// Memory that operators read and write, initialised from `host`.
  template <class T>
  class array {
   public:
    /// Unused memory follows the elements: a larger view over them does not reach another array. With
    /// a sanitizer there is none, so that it sees every access behind the elements.
    explicit array(std::vector<T> host) : memory_(std::move(host)) {
      if (!testing::is_sanitized) memory_.reserve(memory_.size() + 64);
    }

    T* data() { return memory_.data(); }
    /// In place if the size is unchanged, so that views remain valid.
    void assign(const std::vector<T>& host) { memory_.assign(host.begin(), host.end()); }
    [[nodiscard]] std::vector<T> to_host() const { return memory_; }

   private:
    std::vector<T> memory_;
  };

  /// Reads and writes the elements of a matrix, row by row.
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
