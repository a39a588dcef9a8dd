// CUDA implementation of slerp, exchange_moments and every other row_mix: two-row mixes whose
// coefficients depend on row sums.
//
// Each direction takes two steps. plan_rows_kernel reduces every row and its partner to a few
// coefficients, the row's plan (one warp per row). for_each_vec4 then computes the output or the
// gradients element by element from the plans.
#pragma once

#include "feaug/header_begin.hpp"

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
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/permutation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/core/pointers.cuh"
#include "feaug/cuda/core/vec4.cuh"
#include "feaug/cuda/core/warps.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cuda::inline FEAUG_CUBLAS_NAMESPACE {

/// The sums and maxima that a plan is computed from, over the columns of a row, by one warp. Every
/// lane gets the result.
struct warp_reduce {
  int lane;

  /// Σ_j term(j) for each of Count terms.
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

  /// The largest term(j), at least 0; NaN is ignored.
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

/// The rows, their partners and their weights. Row i's partner is row permutation[i], or row i if
/// `permutation` is null.
template <element T>
struct partnered_rows {
  device_matrix<const T> x;
  device_matrix<const T> partner;
  const index_t* permutation;
  device_vector<const compute_t<T>> weights;  ///< empty: the mix has no weights

  [[nodiscard]] __device__ const T* partner_row(index_t i) const {
    return partner.row(permutation == nullptr ? i : permutation[i]);
  }
  [[nodiscard]] __device__ double weight(index_t i) const {
    return weights.data == nullptr ? 0.0 : static_cast<double>(weights[i]);
  }
};

/// Computes the output plan of row i with one warp; lane 0 writes it.
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
/// Computes the gradient plan of row i with one warp; lane 0 writes it.
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

// plan(reduce, i) for every selected row. One warp per row. Limited by memory bandwidth: each pass
// of the plan's sums over a row reads its elements, its partner's and, for gradients, grad_out's,
// and writes one plan. At most 128 registers a thread (two blocks of 256 per multiprocessor).
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

/// The elements of a vec4 as doubles.
template <element T>
__device__ void load_doubles(const T* row, const vec4& q, double (&values)[4]) {
  compute_t<T> loaded[4];
  load_vec4(row, q, loaded);
  FEAUG_UNROLL
  for (int lane = 0; lane < 4; ++lane) values[lane] = static_cast<double>(loaded[lane]);
}

/// The output of a vec4 from the row's plan.
template <element T>
struct row_mix_output {
  partnered_rows<T> rows;
  const output_plan* plans;
  device_matrix<T> out;

  __device__ void operator()(const vec4& q) const {
    double x[4];
    double partner[4];
    load_doubles(rows.x.row(q.row), q, x);
    load_doubles(rows.partner_row(q.row), q, partner);
    const output_plan plan = plans[q.row];
    compute_t<T> values[4];
    FEAUG_UNROLL
    for (int lane = 0; lane < 4; ++lane)
      values[lane] = static_cast<compute_t<T>>(plan(x[lane], partner[lane]));
    store_vec4(out.row(q.row), q, values);
  }
};

/// The gradient with respect to x if the partners are rows of x. A row of x contributes to its own
/// output and to that of the row whose partner it is, and gets a gradient from both. The gradient
/// of an output row that is not selected is not read, since it may hold anything.
template <element T>
struct permuted_row_mix_gradient {
  operand<T, 2, memory_space::device> x;
  const index_t* permutation;
  const index_t* partner_of;  ///< the inverse of `permutation`
  const gradient_plan* plans;
  row_selection selection;
  device_matrix<const T> grad_out;

  __device__ void operator()(const vec4& q) const {
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
    put_vec4(x, q, gradient);
  }
};

/// The gradients with respect to x and to partners that the caller gave. For a row that is not
/// selected, the partner's gradient is 0 and that of x is not written.
template <element T>
struct partnered_row_mix_gradient {
  operand<T, 2, memory_space::device> x;
  operand<T, 2, memory_space::device> partner;
  const gradient_plan* plans;
  row_selection selection;
  device_matrix<const T> grad_out;

  __device__ void operator()(const vec4& q) const {
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
    put_vec4(partner, q, by_partner);
    if (selected) put_vec4(x, q, by_x);
  }
};

/// One weight of x per row, drawn; empty if the mix has no weights.
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

/// Partners by a permutation of the batch. Mix is copied to the GPU, so it must hold values and no
/// pointers to host memory.
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
    cuda::for_each_vec4(call, x.rows(), x.cols(), selection,
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
    cuda::for_each_vec4(call, count, x.value.cols(), {},
                        body{x, permutation, partner_of, plans, selection, grad_out});
  }
};

/// Partners given by the caller.
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
    cuda::for_each_vec4(call, x.rows(), x.cols(), selection,
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
    cuda::for_each_vec4(call, count, x.value.cols(), {},
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

#include "feaug/header_end.hpp"
