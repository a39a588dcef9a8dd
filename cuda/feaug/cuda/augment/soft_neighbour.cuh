// CUDA implementation of soft_neighbour: the softmax-weighted mean of the k nearest rows of a
// support as the augmented feature.
#pragma once

#include "feaug/header_begin.hpp"

#include <cmath>

#include "feaug/augment/soft_neighbour.hpp"
#include "feaug/cuda/augment/augmentation.cuh"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/core/pointers.cuh"
#include "feaug/cuda/core/vec4.cuh"
#include "feaug/cuda/core/warps.cuh"
#include "feaug/cuda/queue/compare_neighbours.cuh"
#include "feaug/queue/neighbour_softmax.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cuda::inline FEAUG_CUBLAS_NAMESPACE {

/// The softmax over the neighbours of query i.
template <element T>
__device__ neighbour_softmax softmax_of(const compared_neighbours<T>& found, index_t i,
                                        double temperature) {
  neighbour_softmax softmax(temperature);
  for (index_t rank = 0; rank < found.k(); ++rank) {
    if (found.slot(i, rank) >= 0) softmax.take(found.similarity[found.place(i, rank)]);
  }
  return softmax;
}

// Multiplies every neighbour's factor by its softmax weight. One thread per query. Limited by about
// 2·k exponentials in double. Registers: at most 96.
template <element T>
__global__ void __launch_bounds__(256, 2)
    soft_neighbour_weights_kernel(compared_neighbours<T> found, double temperature) {
  for (index_t i = static_cast<index_t>(blockIdx.x) * blockDim.x + threadIdx.x;
       i < found.queries.rows(); i += static_cast<index_t>(gridDim.x) * blockDim.x) {
    const neighbour_softmax softmax = softmax_of(found, i, temperature);
    for (index_t rank = 0; rank < found.k(); ++rank) {
      const index_t at = found.place(i, rank);
      found.factor[at] *= softmax.weight(found.similarity[at]);
    }
  }
}

// products[i·k + rank] = g_i · unit(neighbour), the gradient with respect to the neighbour's
// weight. For a query without neighbours, the first product is g_i · unit(x_i). One warp per query
// and rank. Limited by memory bandwidth: reads 2·cols elements. Registers: at most 96.
template <element T>
__global__ void __launch_bounds__(256, 2)
    soft_neighbour_products_kernel(compared_neighbours<T> found, device_matrix<const T> grad_out,
                                   double* products) {
  const int lane = static_cast<int>(threadIdx.x);
  const index_t k = found.k();
  for (index_t at = static_cast<index_t>(blockIdx.x) * blockDim.y + threadIdx.y;
       at < grad_out.rows() * k; at += static_cast<index_t>(gridDim.x) * blockDim.y) {
    const index_t i = at / k;
    const index_t slot = found.slot(i, at % k);
    const bool alone = slot < 0 && at % k == 0 && !found.any(i);
    const T* const row = alone ? found.queries.row(i) : slot < 0 ? nullptr : found.rows.row(slot);
    const double factor = alone ? found.inverse[i] : found.factor[at];
    double product = 0;
    for (index_t j = lane; row != nullptr && j < grad_out.cols(); j += warp_lanes) {
      product +=
          static_cast<double>(load(grad_out(i, j))) * (static_cast<double>(load(row[j])) * factor);
    }
    product = warp_sum(product);
    if (lane == 0) products[at] = product;
  }
}

// Multiplies every neighbour's factor by the gradient with respect to its similarity, and computes
// along[i]. One thread per query. Limited by about 3·k exponentials in double. Registers: at most
// 96.
template <element T>
__global__ void __launch_bounds__(256, 2)
    soft_neighbour_slopes_kernel(compared_neighbours<T> found, double temperature,
                                 const double* products, double* along) {
  for (index_t i = static_cast<index_t>(blockIdx.x) * blockDim.x + threadIdx.x;
       i < found.queries.rows(); i += static_cast<index_t>(gridDim.x) * blockDim.x) {
    const neighbour_softmax softmax = softmax_of(found, i, temperature);
    bool any = false;
    double mean = 0;
    for (index_t rank = 0; rank < found.k(); ++rank) {
      const index_t at = found.place(i, rank);
      if (found.slot(i, rank) < 0) continue;
      any = true;
      mean += softmax.weight(found.similarity[at]) * products[at];
    }
    double sum = any ? 0.0 : products[found.place(i, 0)];
    for (index_t rank = 0; rank < found.k(); ++rank) {
      const index_t at = found.place(i, rank);
      if (found.slot(i, rank) < 0) continue;
      const double slope = softmax.slope(softmax.weight(found.similarity[at]), products[at], mean);
      found.factor[at] *= slope;
      sum += slope * found.similarity[at];
    }
    along[i] = sum;
  }
}

/// out = Σ factor · row; unit(x) or NaN if no neighbour was found. Writes the slots of the selected
/// rows.
template <element T>
struct soft_neighbour_output {
  compared_neighbours<T> found;
  bool falls_back;
  device_matrix<index_t> indices;  ///< empty: not wanted
  device_matrix<T> out;

  __device__ void operator()(const vec4& q) const {
    compute_t<T> values[4];
    load_vec4(found.queries.row(q.row), q, values);
    double sums[4] = {};
    const bool any = sum_neighbours(found, q, sums);
    const double inverse = falls_back ? found.inverse[q.row] : static_cast<double>(NAN);
    for (int lane = 0; lane < 4; ++lane) {
      values[lane] =
          static_cast<compute_t<T>>(any ? sums[lane] : static_cast<double>(values[lane]) * inverse);
    }
    store_vec4(out.row(q.row), q, values);
    if (q.first != 0 || indices.data == nullptr) return;
    for (index_t rank = 0; rank < found.k(); ++rank)
      indices(q.row, rank) = found.slots(q.row, rank);
  }
};

}  // namespace cuda

template <element U>
struct augmentation_on<cuda_context, soft_neighbour_policy<U, memory_space::device>>
    : augmentation_traits<soft_neighbour_policy<U, memory_space::device>> {
  using policy_type = soft_neighbour_policy<U, memory_space::device>;
  using augmentation_traits<policy_type>::name;

  template <element T>
  static void forward(cuda_context& ctx, const policy_type& policy, device_matrix<const T> x,
                      const random_key& /*key*/, const row_selection& selection,
                      device_matrix<T> out) {
    cuda::operation call(ctx, name);
    const cuda::compared_neighbours<T> found = compare(call, policy, x, {});
    call.launch(cuda::soft_neighbour_weights_kernel<T>, cuda::grid_size(x.rows(), 256), 256, 0,
                found, policy.how.temperature);
    const bool falls_back = policy.how.fallback == neighbour_fallback::query;
    cuda::for_each_vec4(
        call, x.rows(), x.cols(), selection,
        cuda::soft_neighbour_output<T>{found, falls_back, policy.binding.indices, out});
  }

  template <element T>
  static void backward(cuda_context& ctx, const policy_type& policy,
                       const operand<T, 2, memory_space::device>& x, const random_key& /*key*/,
                       const row_selection& selection, device_matrix<const T> grad_out) {
    cuda::operation call(ctx, name);
    const index_t rows = x.value.rows();
    const index_t count = rows * policy.how.k;
    const cuda::compared_neighbours<T> found =
        compare(call, policy, x.value, policy.binding.indices);
    auto* const products = call.take<double>(count);
    auto* const along = call.take<double>(rows);
    const dim3 block(cuda::warp_lanes, 8);
    call.launch(cuda::soft_neighbour_products_kernel<T>, cuda::grid_size(count, block.y), block, 0,
                found, grad_out, products);
    call.launch(cuda::soft_neighbour_slopes_kernel<T>, cuda::grid_size(rows, 256), 256, 0, found,
                policy.how.temperature, products, along);
    const bool falls_back = policy.how.fallback == neighbour_fallback::query;
    const device_matrix<const T> otherwise = falls_back ? grad_out : device_matrix<const T>{};
    cuda::for_each_vec4(call, rows, x.value.cols(), selection,
                        cuda::neighbour_gradient_rows<T>{found, along, otherwise, x});
  }

 private:
  template <element T>
  static cuda::compared_neighbours<T> compare(cuda::operation& call, const policy_type& policy,
                                              const device_matrix<const T>& x,
                                              const device_matrix<const index_t>& given) {
    cuda::on_device(name, policy.support);
    cuda::on_device(name, "indices", policy.binding.indices);
    const device_matrix<const index_t> slots =
        given.data != nullptr
            ? given
            : device_matrix<const index_t>(cuda::find_neighbours<T>(
                  call, policy.support, x, policy.binding.exclude_ids, policy.how.k));
    return cuda::compare_neighbours<T>(call, x, policy.support.rows(), slots);
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
