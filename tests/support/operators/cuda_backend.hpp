// The cuda_context backend of the operators' functions, on a GPU or on the test executor.
#pragma once

#include <cstddef>
#include <vector>

#include "cuda/support/device_array.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/context.cuh"
#include "support/operators/arguments.hpp"

namespace conformance {

struct cuda_backend {
  static constexpr feaug::memory_space space = feaug::memory_space::device;
  using context = feaug::cuda_context;
  static context context_for(const arguments& /*given*/) { return context(); }

  /// Memory that operators read and write, initialised from `host`.
  template <class T>
  using array = device_test::device_array<T>;

  /// Reads and writes the elements of a matrix, row by row.
  template <class T>
  static std::vector<T> read(const feaug::device_matrix<const T>& from) {
    std::vector<T> elements(static_cast<std::size_t>(from.rows() * from.cols()));
    for (feaug::index_t i = 0; i < from.rows(); ++i)
      copy(elements.data() + i * from.cols(), from.row(i), from.cols(), cudaMemcpyDeviceToHost);
    return elements;
  }
  template <class T>
  static void write(const feaug::device_matrix<T>& to, const std::vector<T>& elements) {
    for (feaug::index_t i = 0; i < to.rows(); ++i)
      copy(to.row(i), elements.data() + i * to.cols(), to.cols(), cudaMemcpyHostToDevice);
  }

 private:
  template <class T>
  static void copy(T* to, const T* from, feaug::index_t count, cudaMemcpyKind kind) {
    device_test::succeed(cudaMemcpy(to, from, static_cast<std::size_t>(count) * sizeof(T), kind));
  }
};

}  // namespace conformance
