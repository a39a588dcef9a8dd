// slerp, exchange_moments and any other row_mix on a GPU; see feaug/augment/row_mix.hpp for
// what they compute.
#pragma once

#include <type_traits>

#include "feaug/augment/exchange_moments.hpp"
#include "feaug/augment/slerp.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/row_selection.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/augment/augmentation.cuh"
#include "feaug/cuda/augment/mix.cuh"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/permutation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/core/pointers.cuh"
#include "feaug/cuda/core/quads.cuh"
#include "feaug/cuda/core/warps.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cuda {

/// Adds up over the columns of a row with a warp. Every lane has the sums.
struct warp_reduce {
  int lane;

  template <int Count, class Term>
  __device__ feaug::detail::sum_array<Count> sums(index_t cols, const Term& term) const {
    feaug::detail::sum_array<Count> sums = {};
    for (index_t j = lane; j < cols; j += warp_lanes) {
      const auto terms = term(j);
      for (int which = 0; which < Count; ++which) sums.value[which] += terms.value[which];
    }
    for (int which = 0; which < Count; ++which) sums.value[which] = warp_sum(sums.value[which]);
    return sums;
  }

  template <class Term>
  __device__ double largest(index_t cols, const Term& term) const {
    double largest = 0;
    for (index_t j = lane; j < cols; j += warp_lanes) {
      const double candidate = term(j);
      if (candidate > largest) largest = candidate;
    }
    return warp_max(largest);
  }
};

/// Rows, their partners and weights. `permutation` says which row is the partner, null: row i.
template <element T>
struct partnered_rows {
  device_matrix<const T> x;
  device_matrix<const T> partner;
  const index_t* permutation;
  device_vector<const compute_t<T>> weights;  ///< empty: the mix has none

  [[nodiscard]] __device__ const T* partner_row(index_t i) const {
    return partner.row(permutation == nullptr ? i : permutation[i]);
  }
  [[nodiscard]] __device__ double weight(index_t i) const {
    return weights.data == nullptr ? 0.0 : static_cast<double>(weights[i]);
  }
};

/// The plan of a row, by one warp.
template <class Mix, element T>
struct plan_for_output {
  Mix mix;
  partnered_rows<T> rows;
  output_plan* plans;

  __device__ void operator()(const warp_reduce& reduce, index_t i) const {
    const output_plan plan = feaug::detail::plan_output(
        reduce, mix, rows.x.row(i), rows.partner_row(i), rows.x.cols(), rows.weight(i));
    if (reduce.lane == 0) plans[i] = plan;
  }
};
template <class Mix, element T>
struct plan_for_gradients {
  Mix mix;
  partnered_rows<T> rows;
  device_matrix<const T> grad_out;
  gradient_plan* plans;

  __device__ void operator()(const warp_reduce& reduce, index_t i) const {
    const gradient_plan plan =
        feaug::detail::plan_gradients(reduce, mix, rows.x.row(i), rows.partner_row(i),
                                      grad_out.row(i), rows.x.cols(), rows.weight(i));
    if (reduce.lane == 0) plans[i] = plan;
  }
};

// A warp a row.
template <class Plan>
__global__ void __launch_bounds__(256, 2)
    plan_rows_kernel(index_t rows, row_selection selection, Plan plan) {
  const warp_reduce reduce{static_cast<int>(threadIdx.x)};
  for (index_t i = static_cast<index_t>(blockIdx.x) * blockDim.y + threadIdx.y; i < rows;
       i += static_cast<index_t>(gridDim.x) * blockDim.y) {
    if (selection.contains(i)) plan(reduce, i);
  }
}

template <class Plan>
void plan_rows(const operation& call, index_t rows, const row_selection& selection,
               const Plan& plan) {
  if (rows == 0) return;
  const dim3 block(warp_lanes, 8);
  call.launch(plan_rows_kernel<Plan>, grid_size(rows, block.y), block, 0, rows, selection, plan);
}

/// The elements of a quad as doubles.
template <element T>
__device__ void load_doubles(const T* row, const quad& q, double (&values)[4]) {
  compute_t<T> loaded[4];
  load_quad(row, q, loaded);
  FEAUG_UNROLL
  for (int lane = 0; lane < 4; ++lane) values[lane] = static_cast<double>(loaded[lane]);
}

template <element T>
struct row_mix_output {
  partnered_rows<T> rows;
  const output_plan* plans;
  device_matrix<T> out;

  __device__ void operator()(const quad& q) const {
    double x[4];
    double partner[4];
    load_doubles(rows.x.row(q.row), q, x);
    load_doubles(rows.partner_row(q.row), q, partner);
    const output_plan plan = plans[q.row];
    compute_t<T> values[4];
    FEAUG_UNROLL
    for (int lane = 0; lane < 4; ++lane)
      values[lane] = static_cast<compute_t<T>>(plan(x[lane], partner[lane]));
    store_quad(out.row(q.row), q, values);
  }
};

/// A row of x was mixed into its own output and into that of the one row whose partner it is. A row
/// that is not selected does not read its gradient: it may hold anything.
template <element T>
struct permuted_row_mix_gradient {
  operand<T, 2, memory_space::device> x;
  const index_t* permutation;
  const index_t* partner_of;
  const gradient_plan* plans;
  row_selection selection;
  device_matrix<const T> grad_out;

  __device__ void operator()(const quad& q) const {
    double row[4];
    double other[4];
    double g[4];
    double sum[4] = {};
    load_doubles(x.value.row(q.row), q, row);
    if (selection.contains(q.row)) {
      load_doubles(x.value.row(permutation[q.row]), q, other);
      load_doubles(grad_out.row(q.row), q, g);
      const gradient_plan& plan = plans[q.row];
      FEAUG_UNROLL
      for (int lane = 0; lane < 4; ++lane) sum[lane] = plan.by_x(g[lane], row[lane], other[lane]);
    }
    const index_t lender = partner_of[q.row];
    if (selection.contains(lender)) {
      load_doubles(x.value.row(lender), q, other);
      load_doubles(grad_out.row(lender), q, g);
      const gradient_plan& plan = plans[lender];
      FEAUG_UNROLL
      for (int lane = 0; lane < 4; ++lane)
        sum[lane] += plan.by_partner(g[lane], other[lane], row[lane]);
    }
    compute_t<T> gradient[4];
    FEAUG_UNROLL
    for (int lane = 0; lane < 4; ++lane) gradient[lane] = static_cast<compute_t<T>>(sum[lane]);
    put_quad(x, q, gradient);
  }
};

/// The rows that are not selected get a partner's gradient of zero and none by x.
template <element T>
struct partnered_row_mix_gradient {
  operand<T, 2, memory_space::device> x;
  operand<T, 2, memory_space::device> partner;
  const gradient_plan* plans;
  row_selection selection;
  device_matrix<const T> grad_out;

  __device__ void operator()(const quad& q) const {
    compute_t<T> by_x[4] = {};
    compute_t<T> by_partner[4] = {};
    const bool selected = selection.contains(q.row);
    if (selected) {
      double row[4];
      double other[4];
      double g[4];
      load_doubles(x.value.row(q.row), q, row);
      load_doubles(partner.value.row(q.row), q, other);
      load_doubles(grad_out.row(q.row), q, g);
      const gradient_plan& plan = plans[q.row];
      FEAUG_UNROLL
      for (int lane = 0; lane < 4; ++lane) {
        by_x[lane] = static_cast<compute_t<T>>(plan.by_x(g[lane], row[lane], other[lane]));
        by_partner[lane] =
            static_cast<compute_t<T>>(plan.by_partner(g[lane], row[lane], other[lane]));
      }
    }
    put_quad(partner, q, by_partner);
    if (selected) put_quad(x, q, by_x);
  }
};

/// The weights of x in every row, none if the mix has none.
template <element T, class Mix>
device_vector<const compute_t<T>> weights_of(operation& call, const Mix& mix, const random_key& key,
                                             index_t rows) {
  if constexpr (weighted_mix<Mix>) {
    const device_vector<compute_t<T>> weights(call.take<compute_t<T>>(rows), rows);
    draw_weights(call, mix, key, weights);
    return weights;
  } else {
    return {};
  }
}

}  // namespace cuda

/// The partner is a permutation of the batch. Mix is copied to the GPU: it holds numbers, not
/// pointers into host memory.
template <row_mix Mix>
struct augmentation_on<cuda_context, Mix> : augmentation_traits<Mix> {
  static_assert(std::is_trivially_copyable_v<Mix>);
  using augmentation_traits<Mix>::name;

  template <element T>
  static void forward(cuda_context& ctx, const Mix& mix, device_matrix<const T> x,
                      const random_key& key, const row_selection& selection, device_matrix<T> out) {
    cuda::operation call(ctx, name);
    auto* permutation = call.take<index_t>(x.rows());
    auto* plans = call.take<output_plan>(x.rows());
    cuda::draw_permutation(call, detail::permutation_key<Mix>(key), permutation, x.rows());
    const cuda::partnered_rows<T> rows{x, x, permutation,
                                       cuda::weights_of<T>(call, mix, key, x.rows())};
    cuda::plan_rows(call, x.rows(), selection, cuda::plan_for_output<Mix, T>{mix, rows, plans});
    cuda::for_each_quad(call, x.rows(), x.cols(), selection,
                        cuda::row_mix_output<T>{rows, plans, out});
  }

  template <element T>
  static void backward(cuda_context& ctx, const Mix& mix,
                       const operand<T, 2, memory_space::device>& x, const random_key& key,
                       const row_selection& selection, device_matrix<const T> grad_out) {
    if (!x.wants_gradient()) return;
    const index_t count = x.value.rows();
    cuda::operation call(ctx, name);
    auto* permutation = call.take<index_t>(count);
    auto* partner_of = call.take<index_t>(count);
    auto* plans = call.take<gradient_plan>(count);
    cuda::draw_permutation(call, detail::permutation_key<Mix>(key), permutation, count);
    cuda::invert_permutation(call, permutation, count, partner_of);
    const cuda::partnered_rows<T> rows{x.value, x.value, permutation,
                                       cuda::weights_of<T>(call, mix, key, count)};
    cuda::plan_rows(call, count, selection,
                    cuda::plan_for_gradients<Mix, T>{mix, rows, grad_out, plans});
    using body = cuda::permuted_row_mix_gradient<T>;
    cuda::for_each_quad(call, count, x.value.cols(), {},
                        body{x, permutation, partner_of, plans, selection, grad_out});
  }
};

/// The partner is the caller's.
template <row_mix Mix, element U>
struct augmentation_on<cuda_context, partnered<Mix, U, memory_space::device>>
    : augmentation_traits<partnered<Mix, U, memory_space::device>> {
  using policy_type = partnered<Mix, U, memory_space::device>;
  using augmentation_traits<policy_type>::name;

  template <element T>
  static void forward(cuda_context& ctx, const policy_type& policy, device_matrix<const T> x,
                      const random_key& key, const row_selection& selection, device_matrix<T> out) {
    cuda::operation call(ctx, name);
    cuda::on_device(name, "partner", policy.partner.value);
    const cuda::partnered_rows<T> rows{x, policy.partner.value, nullptr,
                                       weights_of(call, policy, key, x.rows())};
    auto* plans = call.take<output_plan>(x.rows());
    cuda::plan_rows(call, x.rows(), selection,
                    cuda::plan_for_output<Mix, T>{policy.mix, rows, plans});
    cuda::for_each_quad(call, x.rows(), x.cols(), selection,
                        cuda::row_mix_output<T>{rows, plans, out});
  }

  template <element T>
  static void backward(cuda_context& ctx, const policy_type& policy,
                       const operand<T, 2, memory_space::device>& x, const random_key& key,
                       const row_selection& selection, device_matrix<const T> grad_out) {
    if (!x.wants_gradient() && !policy.partner.wants_gradient()) return;
    const index_t count = x.value.rows();
    cuda::operation call(ctx, name);
    cuda::on_device(name, "partner", policy.partner);
    const cuda::partnered_rows<T> rows{x.value, policy.partner.value, nullptr,
                                       weights_of(call, policy, key, count)};
    auto* plans = call.take<gradient_plan>(count);
    cuda::plan_rows(call, count, selection,
                    cuda::plan_for_gradients<Mix, T>{policy.mix, rows, grad_out, plans});
    using body = cuda::partnered_row_mix_gradient<T>;
    cuda::for_each_quad(call, count, x.value.cols(), {},
                        body{x, policy.partner, plans, selection, grad_out});
  }

 private:
  static device_vector<const compute_t<U>> weights_of(cuda::operation& call,
                                                      const policy_type& policy,
                                                      const random_key& key, index_t rows) {
    if (policy.weights.data != nullptr) return policy.weights;
    return cuda::weights_of<U>(call, policy.mix, key, rows);
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
