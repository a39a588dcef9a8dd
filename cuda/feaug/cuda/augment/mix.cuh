// CUDA implementation of interpolate and extrapolate: w·x + (1 − w)·partner, with a weight and a
// partner for every row.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/augment/extrapolate.hpp"
#include "feaug/augment/interpolate.hpp"
#include "feaug/augment/mix.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/row_selection.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/augment/augmentation.cuh"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/permutation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/core/pointers.cuh"
#include "feaug/cuda/core/vec4.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cuda::inline FEAUG_CUBLAS_NAMESPACE {

// One thread per row. Limited by drawing the random weight; writes one element a row.
template <class Mix, class C>
__global__ void __launch_bounds__(256)
    draw_weights_kernel(Mix mix, random_key key, device_vector<C> weights) {
  const random_key now = key.resolved();
  for (index_t i = static_cast<index_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < weights.size();
       i += static_cast<index_t>(gridDim.x) * blockDim.x) {
    weights[i] = static_cast<C>(feaug::detail::draw_weight(mix, now, i));
  }
}

/// Draws the weight of x in every row.
template <class Mix, class C>
void draw_weights(const operation& call, const Mix& mix, const random_key& key,
                  const device_vector<C>& weights) {
  call.launch(draw_weights_kernel<Mix, C>, grid_size(weights.size(), 256), 256, 0, mix, key,
              weights);
}

/// out_i = w·x_i + (1 − w)·partner_i. Row i's partner is row permutation[i], or row i if
/// `permutation` is null.
template <element T>
struct mix_rows {
  using C = compute_t<T>;
  device_matrix<const T> x;
  device_matrix<const T> partner;
  const index_t* permutation;
  device_vector<const C> weights;
  device_matrix<T> out;

  __device__ void operator()(const vec4& q) const {
    C values[4];
    C others[4];
    load_vec4(x.row(q.row), q, values);
    load_vec4(partner.row(permutation == nullptr ? q.row : permutation[q.row]), q, others);
    const C weight = weights[q.row];
    const C rest = C{1} - weight;
    for (int lane = 0; lane < 4; ++lane) {
      values[lane] = rounded_product(weight, values[lane]) + rounded_product(rest, others[lane]);
    }
    store_vec4(out.row(q.row), q, values);
  }
};

/// The gradient with respect to x if the partners are rows of x. A row of x contributes to its own
/// output and to that of the row whose partner it is, and gets a gradient from both. The gradient
/// of an output row that is not selected is not read, since it may hold anything.
template <element T>
struct permuted_mix_gradient {
  using C = compute_t<T>;
  operand<T, 2, memory_space::device> x;
  const index_t* partner_of;  ///< partner_of[j] is the row whose partner is row j
  device_vector<const C> weights;
  row_selection selection;
  device_matrix<const T> grad_out;

  __device__ void operator()(const vec4& q) const {
    C own[4] = {};
    C lent[4] = {};
    const index_t other = partner_of[q.row];
    if (selection.contains(q.row)) load_vec4(grad_out.row(q.row), q, own);
    if (selection.contains(other)) load_vec4(grad_out.row(other), q, lent);
    const C own_weight = weights[q.row];
    const C lent_weight = C{1} - weights[other];
    for (int lane = 0; lane < 4; ++lane) {
      own[lane] = rounded_product(own_weight, own[lane]) + rounded_product(lent_weight, lent[lane]);
    }
    put_vec4(x, q, own);
  }
};

/// w·g for x, (1 − w)·g for the partner. For a row that is not selected, the partner's gradient is
/// 0 and that of x is not written.
template <element T, element U>
struct partnered_mix_gradient {
  using C = compute_t<T>;
  operand<T, 2, memory_space::device> x;
  operand<U, 2, memory_space::device> partner;
  device_vector<const C> weights;
  row_selection selection;
  device_matrix<const T> grad_out;

  __device__ void operator()(const vec4& q) const {
    C own[4] = {};
    C others[4] = {};
    const bool selected = selection.contains(q.row);
    if (selected) load_vec4(grad_out.row(q.row), q, own);
    const C weight = weights[q.row];
    const C rest = C{1} - weight;
    for (int lane = 0; lane < 4 && selected; ++lane) {
      others[lane] = rest * own[lane];
      own[lane] = weight * own[lane];
    }
    put_vec4(partner, q, others);
    if (selected) put_vec4(x, q, own);
  }
};

/// Partners by a permutation of the batch.
template <class Mix>
struct permuted_mix_on_device : augmentation_traits<Mix> {
  using augmentation_traits<Mix>::name;

  template <element T>
  static void forward(cuda_context& ctx, const Mix& mix, device_matrix<const T> x,
                      const random_key& key, const row_selection& selection, device_matrix<T> out) {
    operation call(ctx, name);
    auto* permutation = call.take<index_t>(x.rows());
    draw_permutation(call, key.streams_later(1), permutation, x.rows());
    for_each_vec4(call, x.rows(), x.cols(), selection,
                  mix_rows<T>{x, x, permutation, weights_of<T>(call, mix, key, x.rows()), out});
  }

  template <element T>
  static void backward(cuda_context& ctx, const Mix& mix,
                       const operand<T, 2, memory_space::device>& x, const random_key& key,
                       const row_selection& selection, device_matrix<const T> grad_out) {
    const index_t rows = x.value.rows();
    operation call(ctx, name);
    auto* permutation = call.take<index_t>(rows);
    auto* partner_of = call.take<index_t>(rows);
    draw_permutation(call, key.streams_later(1), permutation, rows);
    invert_permutation(call, permutation, rows, partner_of);
    const auto weights = weights_of<T>(call, mix, key, rows);
    for_each_vec4(call, rows, x.value.cols(), {},
                  permuted_mix_gradient<T>{x, partner_of, weights, selection, grad_out});
  }

 private:
  template <element T>
  static device_vector<const compute_t<T>> weights_of(operation& call, const Mix& mix,
                                                      const random_key& key, index_t rows) {
    const device_vector<compute_t<T>> weights(call.take<compute_t<T>>(rows), rows);
    draw_weights(call, mix, key, weights);
    return weights;
  }
};

}  // namespace cuda

template <>
struct augmentation_on<cuda_context, interpolate> : cuda::permuted_mix_on_device<interpolate> {};
template <>
struct augmentation_on<cuda_context, extrapolate> : cuda::permuted_mix_on_device<extrapolate> {};

/// Partners given by the caller.
template <linear_mix Mix, element U>
struct augmentation_on<cuda_context, partnered<Mix, U, memory_space::device>>
    : augmentation_traits<partnered<Mix, U, memory_space::device>> {
  using policy_type = partnered<Mix, U, memory_space::device>;
  using augmentation_traits<policy_type>::name;

  template <element T>
  static void forward(cuda_context& ctx, const policy_type& policy, device_matrix<const T> x,
                      const random_key& key, const row_selection& selection, device_matrix<T> out) {
    cuda::operation call(ctx, name);
    cuda::on_device(name, "partner", policy.partner.value);
    const auto weights = weights_of(call, policy, key, x.rows());
    cuda::for_each_vec4(call, x.rows(), x.cols(), selection,
                        cuda::mix_rows<T>{x, policy.partner.value, nullptr, weights, out});
  }

  template <element T>
  static void backward(cuda_context& ctx, const policy_type& policy,
                       const operand<T, 2, memory_space::device>& x, const random_key& key,
                       const row_selection& selection, device_matrix<const T> grad_out) {
    cuda::operation call(ctx, name);
    cuda::on_device(name, "partner", policy.partner);
    const auto weights = weights_of(call, policy, key, x.value.rows());
    using body = cuda::partnered_mix_gradient<T, U>;
    cuda::for_each_vec4(call, x.value.rows(), x.value.cols(), {},
                        body{x, policy.partner, weights, selection, grad_out});
  }

 private:
  static device_vector<const compute_t<U>> weights_of(cuda::operation& call,
                                                      const policy_type& policy,
                                                      const random_key& key, index_t rows) {
    if (policy.weights.data != nullptr) return policy.weights;
    const device_vector<compute_t<U>> weights(call.take<compute_t<U>>(rows), rows);
    cuda::draw_weights(call, policy.mix, key, weights);
    return weights;
  }
};

template <>
struct detail::mix_on<cuda_context> {
  template <class Mix, class C>
  static void draw_weights(cuda_context& ctx, const Mix& mix, const random_key& key,
                           const device_vector<C>& weights) {
    cuda::draw_weights(cuda::operation(ctx, "draw"), mix, key, weights);
  }

  static void draw_partners(cuda_context& ctx, const random_key& key,
                            const device_vector<index_t>& permutation) {
    cuda::operation call(ctx, "draw");
    cuda::draw_permutation(call, key, permutation.data, permutation.size());
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
