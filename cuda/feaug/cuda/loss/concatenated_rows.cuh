// One or two matrices stacked, as the rows or columns of a contrastive loss, optionally normalised.
#pragma once

#include "feaug/header_begin.hpp"

#include <type_traits>

#include "feaug/core/element.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/l2_norm.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/tile_products.cuh"
#include "feaug/cuda/core/vec4.cuh"
#include "feaug/cuda/core/warps.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda::inline FEAUG_CUBLAS_NAMESPACE {

/// Rows 0 … first.rows() − 1 are those of `first`, the rest those of `second`. Scratch holds a
/// packed copy of the rows, each multiplied by inverse[i] (null: by 1): in `packed` (rows × cols
/// without gaps) for the chunked passes, or in `tensor` for the fused kernels.
template <element T>
struct concatenated_rows {
  using C = compute_t<T>;

  device_matrix<const T> first = {};
  device_matrix<const T> second = {};
  const double* inverse = nullptr;
  const index_t* filled = nullptr;  ///< rows from *filled on are packed as 0; null: none
  const C* packed = nullptr;
  tensor_rows<bfloat16> tensor = {};

  [[nodiscard]] FEAUG_HD index_t rows() const { return first.rows() + second.rows(); }
  [[nodiscard]] FEAUG_HD const T* row(index_t i) const {
    return i < first.rows() ? first.row(i) : second.row(i - first.rows());
  }
  /// Element j of row i, normalised.
  [[nodiscard]] FEAUG_HD double element(index_t i, index_t j) const {
    return static_cast<double>(load(row(i)[j])) * (inverse == nullptr ? 1.0 : inverse[i]);
  }

  /// The rows of `first` alone, or of `second` alone.
  [[nodiscard]] concatenated_rows only_first() const {
    return {.first = first,
            .second = {},
            .inverse = inverse,
            .packed = packed,
            .tensor = tensor.from(0, first.rows())};
  }
  [[nodiscard]] concatenated_rows only_second() const {
    return {.first = second,
            .second = {},
            .inverse = inverse == nullptr ? nullptr : inverse + first.rows(),
            .packed = packed == nullptr ? nullptr : packed + first.rows() * first.cols(),
            .tensor = tensor.from(first.rows(), second.rows())};
  }
};

/// Packs a stack's rows as elements of Packed, `width` apart; elements beyond cols are 0.
template <element T, element Packed>
struct pack_rows {
  concatenated_rows<T> stack;
  Packed* packed;
  index_t width;

  __device__ void operator()(const vec4& q) const {
    const index_t left = stack.first.cols() - q.first;
    int count = static_cast<int>(left < 0 ? 0 : left < q.count ? left : q.count);
    const bool is_there = stack.filled == nullptr || q.row < *stack.filled;
    if (!is_there) count = 0;
    compute_t<T> values[4];
    load_vec4(stack.row(q.row), vec4{q.row, q.first, count}, values);
    compute_t<Packed> stored[4];
    for (int lane = 0; lane < 4; ++lane) {
      const double factor = stack.inverse == nullptr || !is_there ? 1.0 : stack.inverse[q.row];
      stored[lane] = static_cast<compute_t<Packed>>(static_cast<double>(values[lane]) * factor);
    }
    store_vec4(packed + q.row * width, q, stored);
  }
};

/// The stack's packed rows, in scratch memory.
template <element T, element Packed>
Packed* pack_concatenated(operation& call, const concatenated_rows<T>& stack, index_t width) {
  auto* packed = call.take<Packed>(stack.rows() * width);
  for_each_vec4(call, stack.rows(), width, {}, pack_rows<T, Packed>{stack, packed, width});
  return packed;
}

/// The stack of two matrices (the second may be empty), packed in scratch memory. It is packed for
/// the fused kernels if the context asks for bf16 on tensor cores and a kernel for this width can
/// run. `filled`, if given, is the number of rows, in device memory.
template <element T>
concatenated_rows<T> concatenate_rows(operation& call, bool normalize,
                                      const device_matrix<const T>& first,
                                      const device_matrix<const T>& second = {},
                                      bool can_be_fused = true, const index_t* filled = nullptr) {
  concatenated_rows<T> stack{.first = first, .second = second, .filled = filled};
  const index_t cols = first.cols();
  if (normalize) {
    auto* inverse = call.take<double>(stack.rows());
    row_norms(call, first, norm_output::inverse, default_norm_eps, inverse);
    row_norms(call, second, norm_output::inverse, default_norm_eps, inverse + first.rows());
    stack.inverse = inverse;
  }
  if constexpr (!std::is_same_v<T, double>) {
    if (can_be_fused && call.context().precision == product_precision::bf16 &&
        uses_tensor_tiles(call, cols)) {
      const int features = tile_features(cols);
      stack.tensor = {.data = pack_concatenated<T, bfloat16>(call, stack, features),
                      .count = stack.rows(),
                      .features = features};
      return stack;
    }
  }
  stack.packed = pack_concatenated<T, compute_t<T>>(call, stack, cols);
  return stack;
}

/// The dot product of two rows in double, by one warp; every lane gets it.
template <element T>
__device__ double warp_dot(const concatenated_rows<T>& a, index_t i, const concatenated_rows<T>& b,
                           index_t j, index_t cols, int lane) {
  double sum = 0;
  for (index_t d = lane; d < cols; d += warp_lanes) sum += a.element(i, d) * b.element(j, d);
  return warp_sum(sum);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda

#include "feaug/header_end.hpp"
