// Norms and cosine of two rows, computed by one warp.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/core/element.hpp"
#include "feaug/core/exact_math.hpp"
#include "feaug/core/finite.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/core/warps.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda::inline FEAUG_CUBLAS_NAMESPACE {

/// Two rows with their norms and cosine; every lane of the warp has the same values.
template <element T>
struct compared_rows {
  const T* rows[2];
  double factor[2];  ///< 1 / max(norm, eps)
  double cosine;

  /// Element j of the normalised row.
  [[nodiscard]] __device__ double unit(int side, index_t j) const {
    return exact::to_double(load(rows[side][j])) * factor[side];
  }
};

/// Norms and cosine, from one reading of the rows unless a square overflows.
template <element T>
__device__ compared_rows<T> compare_rows(const T* first, const T* second, index_t cols, int lane) {
  compared_rows<T> pair = {.rows = {first, second}, .factor = {}, .cosine = 0};
  double squares[2] = {};
  double product = 0;
  for (index_t j = lane; j < cols; j += warp_lanes) {
    const auto a = exact::to_double(load(first[j]));
    const auto b = exact::to_double(load(second[j]));
    squares[0] += a * a;
    squares[1] += b * b;
    product += a * b;
  }
  FEAUG_UNROLL
  for (int side = 0; side < 2; ++side) {
    squares[side] = warp_sum(squares[side]);
    pair.factor[side] =
        inverse_norm(row_norm_of(squares[side], pair.rows[side], cols), default_norm_eps);
  }
  // Squares are not finite only for doubles above 1e154 or rows that are not finite.
  if (feaug::detail::is_finite(squares[0]) && feaug::detail::is_finite(squares[1])) {
    pair.cosine = warp_sum(product) * pair.factor[0] * pair.factor[1];
  } else {
    double cosine = 0;
    for (index_t j = lane; j < cols; j += warp_lanes) cosine += pair.unit(0, j) * pair.unit(1, j);
    pair.cosine = warp_sum(cosine);
  }
  return pair;
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda

#include "feaug/header_end.hpp"
