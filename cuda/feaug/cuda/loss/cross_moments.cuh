// The pass over the D × D moments of features: correlations for barlow_twins, covariances for
// vicreg. Only a strip of the matrix's rows is in memory at a time; see
// feaug/cpu/loss/cross_moments.hpp.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <string_view>

#include "feaug/core/columns.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/columns.cuh"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/core/products.cuh"
#include "feaug/cuda/core/unit_backward.cuh"
#include "feaug/cuda/core/vec4.cuh"
#include "feaug/cuda/core/warps.cuh"
#include "feaug/loss/cross_moments.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda::inline FEAUG_CUBLAS_NAMESPACE {

template <element T>
using cross_moments_problem = feaug::detail::cross_moments_problem<T, memory_space::device>;

/// Elements of a strip: 16 MiB of floats, 32 of doubles.
inline constexpr index_t moment_strip_elements = index_t{1} << 22;

/// Packs all columns, row-major.
template <element T>
struct pack_columns {
  device_columns<T> from;
  compute_t<T>* packed;

  __device__ void operator()(const vec4& q) const {
    compute_t<T>* const to = packed + q.row * from.x.cols() + q.first;
    for (int lane = 0; lane < q.count; ++lane)
      to[lane] = static_cast<compute_t<T>>(from(q.row, q.first + lane));
  }
};

inline constexpr int transposing_rows = 8;

// Transposes columns first … first + count − 1 to packed rows. A block copies 32 × 32 squares
// through shared memory, so that reads and writes are coalesced. Limited by memory bandwidth: reads
// and writes each element once. Shared memory: 4.1 KiB, double 8.3 KiB. Registers: at most 64.
template <element T>
__global__ void __launch_bounds__(warp_lanes* transposing_rows, 2)
    pack_transposed_kernel(device_columns<T> from, index_t first, index_t count,
                           compute_t<T>* packed) {
  struct shared_type {
    compute_t<T> element[warp_lanes][warp_lanes + 1];
  };
  FEAUG_SHARED(shared_type, shared);
  const index_t rows = from.x.rows();
  const int lane = static_cast<int>(threadIdx.x);
  for (index_t top = static_cast<index_t>(blockIdx.y) * warp_lanes; top < rows;
       top += static_cast<index_t>(gridDim.y) * warp_lanes) {
    for (index_t left = static_cast<index_t>(blockIdx.x) * warp_lanes; left < count;
         left += static_cast<index_t>(gridDim.x) * warp_lanes) {
      for (int y = static_cast<int>(threadIdx.y); y < warp_lanes; y += transposing_rows) {
        if (top + y < rows && left + lane < count)
          shared.element[y][lane] = static_cast<compute_t<T>>(from(top + y, first + left + lane));
      }
      __syncthreads();
      for (int y = static_cast<int>(threadIdx.y); y < warp_lanes; y += transposing_rows) {
        if (left + y < count && top + lane < rows)
          packed[(left + y) * rows + top + lane] = shared.element[lane][y];
      }
      __syncthreads();
    }
  }
}

// Scales a strip, sets its diagonal elements to 0, and calls measure(j, diagonal, Σ of the other
// squares) for each row. One warp per row. Limited by memory bandwidth: reads and writes the strip
// once. Registers: at most 96.
template <class C, class Measure>
__global__ void __launch_bounds__(256, 2)
    measure_moments_kernel(C* strip, index_t first, index_t count, index_t features, double scale,
                           Measure measure) {
  const int lane = static_cast<int>(threadIdx.x);
  for (index_t r = static_cast<index_t>(blockIdx.x) * blockDim.y + threadIdx.y; r < count;
       r += static_cast<index_t>(gridDim.x) * blockDim.y) {
    C* const row = strip + r * features;
    double diagonal = 0;
    double off = 0;
    for (index_t k = lane; k < features; k += warp_lanes) {
      const double moment = scale * static_cast<double>(row[k]);
      const bool own = k == first + r;
      if (own) diagonal = moment;
      if (!own) off += moment * moment;
      row[k] = own ? C{0} : static_cast<C>(moment);
    }
    diagonal = warp_sum(diagonal);
    off = warp_sum(off);
    if (lane == 0) measure(first + r, diagonal, off);
  }
}

/// Writes the gradient of a strip's columns, as x's mode says.
template <element T, class Gradient>
struct put_moment_gradient {
  operand<T, 2, memory_space::device> x;
  index_t first;
  index_t count;
  const compute_t<T>* sums;
  Gradient gradient;

  __device__ void operator()(const vec4& q) const {
    for (int lane = 0; lane < q.count; ++lane) {
      const index_t j = first + q.first + lane;
      const auto sum = static_cast<double>(sums[q.row * count + q.first + lane]);
      put_element(x, q.row, j, static_cast<compute_t<T>>(gradient(q.row, j, sum)));
    }
  }
};

/// As on the CPU: calls measure(j, C_jj, Σ_{k≠j} C_jk²) for every row j of C and, if x wants a
/// gradient, computes gradient(i, j, Σ_{k≠j} C_jk · y_ik) for every element. 2·N·D² FLOP, twice
/// that with a gradient. Scratch: a packed copy of y, a strip of C, as many packed columns of x, as
/// many columns of sums, and the workspace of products.
template <element T, class Measure, class Gradient>
void cross_moments_pass(cuda_context& ctx, std::string_view op,
                        const cross_moments_problem<T>& problem, const Measure& measure,
                        const operand<T, 2, memory_space::device>& x, const Gradient& gradient) {
  using C = compute_t<T>;
  operation call(ctx, op);
  const index_t rows = problem.x.x.rows();
  const index_t features = problem.features();
  const index_t strip_rows = problem.strip_rows();
  auto* const y = call.take<C>(rows * features);
  auto* const columns = call.take<C>(strip_rows * rows);
  auto* const strip = call.take<C>(strip_rows * features);
  auto* const sums = x.wants_gradient() ? call.take<C>(rows * strip_rows) : nullptr;
  const product_scratch scratch = take_product_scratch(call);
  for_each_vec4(call, rows, features, {}, pack_columns<T>{problem.y, y});
  for (index_t first = 0; first < features; first += strip_rows) {
    const index_t count = std::min(strip_rows, features - first);
    call.launch(pack_transposed_kernel<T>,
                dim3(grid_size(count, warp_lanes), grid_size(rows, warp_lanes)),
                dim3(warp_lanes, transposing_rows), 0, problem.x, first, count, columns);
    multiply<C>(call, scratch,
                {.rows = count,
                 .inner = rows,
                 .columns = features,
                 .a = columns,
                 .a_stride = rows,
                 .b = y,
                 .b_stride = features,
                 .c = strip,
                 .c_stride = features});
    const dim3 warps(warp_lanes, 8);
    call.launch(measure_moments_kernel<C, Measure>, grid_size(count, warps.y), warps, 0, strip,
                first, count, features, problem.scale, measure);
    if (!x.wants_gradient()) continue;
    multiply<C>(call, scratch,
                {.rows = rows,
                 .inner = features,
                 .columns = count,
                 .a = y,
                 .a_stride = features,
                 .b = strip,
                 .b_stride = features,
                 .b_transposed = true,
                 .c = sums,
                 .c_stride = count});
    for_each_vec4(call, rows, count, {},
                  put_moment_gradient<T, Gradient>{x, first, count, sums, gradient});
  }
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda

#include "feaug/header_end.hpp"
