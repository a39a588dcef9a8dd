// Element-wise kernels over a matrix. A thread handles four columns: one Philox block of draws, and
// one vector load.
#pragma once

#include "feaug/header_begin.hpp"

#include <concepts>
#include <cstdint>
#include <type_traits>

#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/row_selection.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda::inline FEAUG_CUBLAS_NAMESPACE {

inline constexpr index_t vec4_columns = 4;

/// a·b, rounded before it is added to something. nvcc would otherwise contract a·b + c to a fused
/// multiply-add, and a result in half would be rounded to another neighbour than on the CPU.
template <std::floating_point C>
__device__ C rounded_product(C a, C b) {
#if defined(__CUDACC__)
  if constexpr (std::is_same_v<C, float>) {
    return __fmul_rn(a, b);
  } else {
    return __dmul_rn(a, b);
  }
#else
  return a * b;
#endif
}

/// A thread's elements: columns first … first + count − 1 of a row, count ≤ 4.
struct vec4 {
  index_t row;
  index_t first;
  int count;
};

namespace detail {

/// Elements per vector load or store: four, or two doubles.
template <class T>
inline constexpr int piece_elements = sizeof(T) == 8 ? 2 : 4;

template <class T>
struct alignas(piece_elements<T> * sizeof(T)) piece {
  T element[piece_elements<T>];
};

/// The vector load or store of an aligned piece. (Other C++ compilers were seen to hoist such a
/// load above the test of its alignment, so they copy bytes instead.)
template <class T>
__device__ piece<T> load_piece(const T* at) {
#if defined(__CUDACC__)
  return *reinterpret_cast<const piece<T>*>(at);
#else
  piece<T> whole;
  __builtin_memcpy(&whole, at, sizeof whole);
  return whole;
#endif
}

template <class T>
__device__ void store_piece(T* at, const piece<T>& whole) {
#if defined(__CUDACC__)
  *reinterpret_cast<piece<T>*>(at) = whole;
#else
  __builtin_memcpy(at, &whole, sizeof whole);
#endif
}

/// True if the vec4 is full and aligned for vector access.
template <class T>
__device__ bool is_whole(const T* at, const vec4& q) {
  return q.count == 4 && reinterpret_cast<std::uintptr_t>(at) % alignof(piece<T>) == 0;
}

}  // namespace detail

/// Loads the vec4's elements of `row`; elements beyond its count are 0.
template <element T>
__device__ void load_vec4(const T* row, const vec4& q, compute_t<T> (&values)[4]) {
  constexpr int each = detail::piece_elements<T>;
  const T* const at = row + q.first;
  if (detail::is_whole(at, q)) {
    FEAUG_UNROLL
    for (int lane = 0; lane < 4; lane += each) {
      const detail::piece<T> whole = detail::load_piece(at + lane);
      FEAUG_UNROLL
      for (int e = 0; e < each; ++e) values[lane + e] = load(whole.element[e]);
    }
  } else {
    FEAUG_UNROLL
    for (int lane = 0; lane < 4; ++lane)
      values[lane] = lane < q.count ? load(at[lane]) : compute_t<T>{0};
  }
}

/// Stores the vec4's elements to `row`.
template <element T>
__device__ void store_vec4(T* row, const vec4& q, const compute_t<T> (&values)[4]) {
  constexpr int each = detail::piece_elements<T>;
  T* const at = row + q.first;
  if (detail::is_whole(at, q)) {
    FEAUG_UNROLL
    for (int lane = 0; lane < 4; lane += each) {
      detail::piece<T> whole;
      FEAUG_UNROLL
      for (int e = 0; e < each; ++e) whole.element[e] = store<T>(values[lane + e]);
      detail::store_piece(at + lane, whole);
    }
  } else {
    FEAUG_UNROLL
    for (int lane = 0; lane < 4; ++lane) {
      if (lane < q.count) at[lane] = store<T>(values[lane]);
    }
  }
}

/// Overwrites a vec4 of x's gradient, or accumulates into it, if x wants a gradient.
template <element T>
__device__ void put_vec4(const operand<T, 2, memory_space::device>& x, const vec4& q,
                         compute_t<T> (&gradient)[4]) {
  if (!x.wants_gradient()) return;
  T* const row = x.gradient.row(q.row);
  if (x.mode == gradient_mode::accumulate) {
    compute_t<T> before[4];
    load_vec4(row, q, before);
    for (int lane = 0; lane < 4; ++lane) gradient[lane] = before[lane] + gradient[lane];
  }
  store_vec4(row, q, gradient);
}

// body(vec4) for the vec4s of selected rows, in a grid-stride loop. A block has 256 threads, a
// thread one vec4 at a time; a row narrower than 256 vec4s shares the block with others. Limited by
// memory bandwidth or by random number generation, depending on the body. (Without a minimum of 2
// blocks, ptxas would use fewer registers on sm_80, and spill.) Registers: at most 96.
template <class Body>
__global__ void __launch_bounds__(256, 2)
    for_each_quad_kernel(index_t rows, index_t cols, row_selection selection, Body body) {
  const index_t rows_at_once = static_cast<index_t>(gridDim.y) * blockDim.y;
  const index_t columns_at_once = static_cast<index_t>(gridDim.x) * blockDim.x * vec4_columns;
  for (index_t row = static_cast<index_t>(blockIdx.y) * blockDim.y + threadIdx.y; row < rows;
       row += rows_at_once) {
    if (!selection.contains(row)) continue;
    for (index_t first =
             (static_cast<index_t>(blockIdx.x) * blockDim.x + threadIdx.x) * vec4_columns;
         first < cols; first += columns_at_once) {
      const index_t left = cols - first;
      body(vec4{row, first, left < vec4_columns ? static_cast<int>(left) : 4});
    }
  }
}

/// Calls body(vec4) once for every four columns of every selected row.
template <class Body>
void for_each_vec4(const operation& call, index_t rows, index_t cols,
                   const row_selection& selection, const Body& body) {
  if (rows == 0 || cols == 0) return;
  const index_t vec4s = (cols + vec4_columns - 1) / vec4_columns;
  unsigned width = 1;
  while (width < 256 && width < vec4s) width *= 2;
  const dim3 block(width, 256 / width);
  const dim3 grid(grid_size(vec4s, width), grid_size(rows, block.y));
  call.launch(for_each_quad_kernel<Body>, grid, block, 0, rows, cols, selection, body);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda

#include "feaug/header_end.hpp"
