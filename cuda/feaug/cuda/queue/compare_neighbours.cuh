// Cosines of queries with their neighbours, and the gradient with respect to the queries.
#pragma once

#include "feaug/header_begin.hpp"

#include <cmath>
#include <cstdint>
#include <string_view>

#include "feaug/core/element.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/compare_rows.cuh"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/l2_norm.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/core/pointers.cuh"
#include "feaug/cuda/core/vec4.cuh"
#include "feaug/cuda/core/warps.cuh"
#include "feaug/cuda/queue/device_queue.cuh"
#include "feaug/cuda/queue/nearest.cuh"
#include "feaug/queue/support_rows.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

template <element T>
using device_support_rows = support_rows<T, memory_space::device>;

namespace cuda::inline FEAUG_CUBLAS_NAMESPACE {

/// Checks the pointers of a support.
template <element T>
void on_device(std::string_view op, const device_support_rows<T>& support) {
  if (support.in_queue()) {
    on_device(op, support.queue());
  } else {
    on_device(op, "support", support.rows());
  }
}

/// N queries with k slots each. A slot outside the rows means that no neighbour was found.
template <element T>
struct compared_neighbours {
  device_matrix<const T> queries;
  device_matrix<const T> rows;  ///< the support
  device_matrix<const index_t> slots;
  double* inverse;  ///< N: 1 / max(‖query‖, 1e-12)
  // N · k each:
  double* similarity;
  double* factor;  ///< 1 / max(‖row‖, 1e-12); callers replace it by the row's weight

  [[nodiscard]] FEAUG_HD index_t k() const { return slots.cols(); }
  /// −1 if no neighbour was found.
  [[nodiscard]] FEAUG_HD index_t slot(index_t query, index_t rank) const {
    const index_t slot = slots(query, rank);
    return slot >= 0 && slot < rows.rows() ? slot : -1;
  }
  /// True if the query has a neighbour.
  [[nodiscard]] FEAUG_HD bool any(index_t query) const {
    for (index_t rank = 0; rank < k(); ++rank) {
      if (slot(query, rank) >= 0) return true;
    }
    return false;
  }
  /// Index into similarity and factor.
  [[nodiscard]] FEAUG_HD index_t place(index_t query, index_t rank) const {
    return query * k() + rank;
  }
};

// similarity and factor of every neighbour. One warp per query and rank. Limited by memory
// bandwidth: reads 2·cols elements and writes 16 bytes. (Without a minimum of 2 blocks, ptxas would
// use fewer registers on sm_80, and spill.) Registers: at most 128.
template <element T>
__global__ void __launch_bounds__(256, 2) compare_neighbours_kernel(compared_neighbours<T> found) {
  const int lane = static_cast<int>(threadIdx.x);
  const index_t k = found.k();
  for (index_t at = static_cast<index_t>(blockIdx.x) * blockDim.y + threadIdx.y;
       at < found.queries.rows() * k; at += static_cast<index_t>(gridDim.x) * blockDim.y) {
    const index_t query = at / k;
    const index_t slot = found.slot(query, at % k);
    if (slot < 0) {
      if (lane == 0) found.similarity[at] = found.factor[at] = 0;
      continue;
    }
    const compared_rows<T> pair =
        compare_rows(found.queries.row(query), found.rows.row(slot), found.queries.cols(), lane);
    if (lane != 0) continue;
    found.similarity[at] = pair.cosine;
    found.factor[at] = pair.factor[1];
  }
}

/// The N × k slots of the nearest rows, written to `wanted` or, if that is empty, to scratch
/// memory. A slot is −1 if there is no neighbour, for example in a queue with fewer than k rows.
template <element T>
device_matrix<index_t> find_neighbours(operation& call, const device_support_rows<T>& support,
                                       const device_matrix<const T>& queries,
                                       const device_vector<const std::int64_t>& exclude_ids,
                                       index_t k, const device_matrix<index_t>& wanted = {}) {
  device_matrix<index_t> slots = wanted;
  if (slots.data == nullptr) slots = {call.take<index_t>(queries.rows() * k), queries.rows(), k};
  const device_nearest_options options = {.k = k, .exclude_ids = exclude_ids};
  if (support.in_queue()) {
    nearest(call.context(), support.queue(), queries, {.indices = slots}, options);
  } else {
    nearest(call.context(), support.rows(), queries, {.indices = slots}, options);
  }
  return slots;
}

/// Cosines of the queries with the rows at `slots`. Scratch: 8 bytes a query, 16 a slot.
template <element T>
compared_neighbours<T> compare_neighbours(operation& call, const device_matrix<const T>& queries,
                                          const device_matrix<const T>& rows,
                                          const device_matrix<const index_t>& slots) {
  const index_t count = queries.rows() * slots.cols();
  const compared_neighbours<T> found = {.queries = queries,
                                        .rows = rows,
                                        .slots = slots,
                                        .inverse = call.take<double>(queries.rows()),
                                        .similarity = call.take<double>(count),
                                        .factor = call.take<double>(count)};
  row_norms(call, queries, norm_output::inverse, default_norm_eps, found.inverse);
  const dim3 block(warp_lanes, 8);
  call.launch(compare_neighbours_kernel<T>, grid_size(count, block.y), block, 0, found);
  return found;
}

/// values[lane] += Σ factor · row over the query's neighbours, at the vec4's columns. Returns false
/// if the query has no neighbour.
template <element T>
__device__ bool sum_neighbours(const compared_neighbours<T>& found, const vec4& q,
                               double (&values)[4]) {
  bool any = false;
  for (index_t rank = 0; rank < found.k(); ++rank) {
    const index_t slot = found.slot(q.row, rank);
    if (slot < 0) continue;
    any = true;
    const double factor = found.factor[found.place(q.row, rank)];
    compute_t<T> row[4];
    load_vec4(found.rows.row(slot), q, row);
    for (int lane = 0; lane < 4; ++lane) values[lane] += factor * static_cast<double>(row[lane]);
  }
  return any;
}

/// The gradient with respect to the queries x. The gradient with respect to unit(x_i) is Σ factor ·
/// row over the neighbours of query i, and along[i] is its component along unit(x_i). For a query
/// without neighbours it is `otherwise` (with its component in along[i], too), or NaN if
/// `otherwise` is empty.
template <element T>
struct neighbour_gradient_rows {
  compared_neighbours<T> found;
  const double* along;
  device_matrix<const T> otherwise;
  operand<T, 2, memory_space::device> x;

  __device__ void operator()(const vec4& q) const {
    const double inverse = found.inverse[q.row];
    const bool no_direction = has_no_direction(inverse, default_norm_eps);
    double sums[4] = {};
    const bool any = sum_neighbours(found, q, sums);
    const bool lost = !any && otherwise.data == nullptr;
    compute_t<T> unit[4];
    load_vec4(found.queries.row(q.row), q, unit);
    compute_t<T> gradient[4] = {};
    if (!any && !lost) load_vec4(otherwise.row(q.row), q, gradient);
    for (int lane = 0; lane < 4; ++lane) {
      double by_unit = any ? sums[lane] : static_cast<double>(gradient[lane]);
      by_unit -= along[q.row] * (static_cast<double>(unit[lane]) * inverse);
      if (no_direction) by_unit = 0;
      if (lost) by_unit = static_cast<double>(NAN);
      gradient[lane] = static_cast<compute_t<T>>(by_unit * inverse);
    }
    put_vec4(x, q, gradient);
  }
};

}  // namespace cuda
}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
