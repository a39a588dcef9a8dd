// CUDA implementation of masked_prediction: a loss between prediction and target over the masked
// features only.
#pragma once

#include "feaug/header_begin.hpp"

#include <cmath>
#include <string_view>
#include <type_traits>

#include "feaug/core/element.hpp"
#include "feaug/core/finite.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/reduce.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/augment/mask.cuh"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/pointers.cuh"
#include "feaug/cuda/core/vec4.cuh"
#include "feaug/cuda/core/warps.cuh"
#include "feaug/cuda/loss/row_losses.cuh"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/masked_prediction.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

template <element T>
using device_masked_prediction_options = masked_prediction_options<T, memory_space::device>;

namespace cuda::inline FEAUG_CUBLAS_NAMESPACE {

/// Calls act(vec4, keep) for this lane's vec4s of a row; keep[e] is 0 where element e is masked.
/// The lanes of a warp cover the row together.
template <class Rule, class Act>
__device__ void for_each_kept_vec4(const Rule& rule, index_t row, index_t cols, int lane,
                                   const Act& act) {
  for (index_t first = lane * vec4_columns; first < cols; first += warp_lanes * vec4_columns) {
    const index_t left = cols - first;
    const vec4 q = {row, first, left < vec4_columns ? static_cast<int>(left) : 4};
    float keep[4];
    rule.keep(q, keep);
    act(q, keep);
  }
}

// masked[i] = the number of masked features of row i. One warp per row. Limited by drawing the
// random mask (Philox), or, with a given mask, by memory bandwidth; writes 8 bytes a row.
// Registers: at most 64.
template <class Rule>
__global__ void __launch_bounds__(256)
    count_masked_kernel(Rule rule, index_t rows, index_t cols, double* masked) {
  const int lane = static_cast<int>(threadIdx.x);
  for (index_t i = static_cast<index_t>(blockIdx.x) * blockDim.y + threadIdx.y; i < rows;
       i += static_cast<index_t>(gridDim.x) * blockDim.y) {
    double count = 0;
    for_each_kept_vec4(rule, i, cols, lane, [&](const vec4& q, const float(&keep)[4]) {
      FEAUG_UNROLL
      for (int e = 0; e < 4; ++e) count += e < q.count && keep[e] == 0 ? 1.0 : 0.0;
    });
    count = warp_sum(count);
    if (lane == 0) masked[i] = count;
  }
}

// *total = the divisor of a mean: the number of masked features or, if of_rows, the number of rows
// with at least one masked feature. One block. Limited by latency: reads 8 bytes a row.
template <class Count>
__global__ void __launch_bounds__(sum_threads)
    total_masked_kernel(const double* masked, index_t rows, bool of_rows, Count* total) {
  const double sum =
      block_sum(rows, [&](index_t i) { return of_rows && masked[i] > 1.0 ? 1.0 : masked[i]; });
  if (threadIdx.x == 0) *total = static_cast<Count>(sum);
}

/// The masked features of one row of prediction and target, read by the lanes of one warp. Each
/// reading of the row computes the mask again.
template <class Rule, element T>
struct masked_rows {
  const Rule& rule;  ///< gives the mask
  const T* rows[2];  ///< of prediction and target
  index_t row;
  index_t cols;
  int lane;
  double factor[2] = {};  ///< 1 / max(norm of the masked features, 1e-12); set by compare()
  double cosine = 0;      ///< of the masked features; set by compare()
  bool any = false;       ///< whether any feature is masked; set by compare()

  /// Calls act(vec4, masked, prediction values, target values) for this lane's vec4s.
  template <class Act>
  __device__ void for_each(const Act& act) const {
    for_each_kept_vec4(rule, row, cols, lane, [&](const vec4& q, const float(&keep)[4]) {
      compute_t<T> p[4];
      compute_t<T> t[4];
      load_vec4(rows[0], q, p);
      load_vec4(rows[1], q, t);
      bool masked[4];
      FEAUG_UNROLL
      for (int e = 0; e < 4; ++e) masked[e] = e < q.count && keep[e] == 0;
      act(q, masked, p, t);
    });
  }

  /// Sets factor, cosine and any, in every lane. One reading of the row, more only if a square
  /// overflows.
  __device__ void compare() {
    double squares[2] = {};
    double product = 0;
    double count = 0;
    for_each([&](const vec4&, const bool(&masked)[4], const auto& p, const auto& t) {
      FEAUG_UNROLL
      for (int e = 0; e < 4; ++e) {
        if (!masked[e]) continue;
        const auto a = static_cast<double>(p[e]);
        const auto b = static_cast<double>(t[e]);
        squares[0] += a * a;
        squares[1] += b * b;
        product += a * b;
        count += 1.0;
      }
    });
    any = warp_sum(count) > 0;
    bool finite = true;
    FEAUG_UNROLL
    for (int side = 0; side < 2; ++side) {
      squares[side] = warp_sum(squares[side]);
      finite = finite && feaug::detail::is_finite(squares[side]);
    }
    product = warp_sum(product);
    // A sum of squares is infinite or NaN only if a feature is above 1e154 or not finite.
    FEAUG_UNROLL
    for (int side = 0; side < 2; ++side)
      factor[side] =
          inverse_norm(finite ? std::sqrt(squares[side]) : scaled_norm(side), default_norm_eps);
    cosine = finite ? product * factor[0] * factor[1] : unit_product();
  }

 private:
  /// The norm, computed after division by the largest magnitude so that no square overflows. The
  /// search for the largest magnitude skips NaN, but the sum then contains it.
  __device__ double scaled_norm(int side) const {
    double largest = 0;
    for_each([&](const vec4&, const bool(&masked)[4], const auto& p, const auto& t) {
      FEAUG_UNROLL
      for (int e = 0; e < 4; ++e) {
        const double size = std::fabs(static_cast<double>(side == 0 ? p[e] : t[e]));
        if (masked[e] && size > largest) largest = size;
      }
    });
    largest = warp_max(largest);
    const double scale = largest > 0 ? largest : 1.0;
    double sum = 0;
    for_each([&](const vec4&, const bool(&masked)[4], const auto& p, const auto& t) {
      FEAUG_UNROLL
      for (int e = 0; e < 4; ++e) {
        const double part = static_cast<double>(side == 0 ? p[e] : t[e]) / scale;
        if (masked[e]) sum += part * part;
      }
    });
    return scale * std::sqrt(warp_sum(sum));
  }

  /// The dot product of the normalised rows, for squares that overflow.
  __device__ double unit_product() const {
    double sum = 0;
    for_each([&](const vec4&, const bool(&masked)[4], const auto& p, const auto& t) {
      FEAUG_UNROLL
      for (int e = 0; e < 4; ++e) {
        if (masked[e])
          sum += (static_cast<double>(p[e]) * factor[0]) * (static_cast<double>(t[e]) * factor[1]);
      }
    });
    return warp_sum(sum);
  }
};

/// Arguments of one call, as the kernel gets them.
template <element T>
struct masked_prediction_problem {
  operand<T, 2, memory_space::device> prediction;
  operand<T, 2, memory_space::device> target;
  prediction_form form;
  double beta;
  row_reduction<compute_t<T>> reduction;
};

/// Loss of a row from the differences of its features. Writes the wanted gradients, which are 0 at
/// features that are not masked. One reading of the row.
template <class Rule, element T>
__device__ double difference_row(const masked_prediction_problem<T>& problem,
                                 const masked_rows<Rule, T>& rows, double weight) {
  using C = compute_t<T>;
  double loss = 0;
  rows.for_each([&](const vec4& q, const bool(&masked)[4], const auto& p, const auto& t) {
    C by_prediction[4] = {};
    C by_target[4] = {};
    FEAUG_UNROLL
    for (int e = 0; e < 4; ++e) {
      if (!masked[e]) continue;
      const feaug::detail::difference_loss at = feaug::detail::loss_of_difference(
          problem.form, problem.beta, static_cast<double>(p[e]) - static_cast<double>(t[e]));
      loss += at.loss;
      by_prediction[e] = static_cast<C>(weight * at.slope);
      by_target[e] = -by_prediction[e];
    }
    put_vec4(problem.prediction, q, by_prediction);
    put_vec4(problem.target, q, by_target);
  });
  return warp_sum(loss);
}

/// Loss and gradients of a row from the cosine of its masked features, 2 − 2·cosine, as in
/// negative_cosine. Reads the row once, and once more for each wanted gradient.
template <class Rule, element T>
__device__ double cosine_row(const masked_prediction_problem<T>& problem,
                             masked_rows<Rule, T>& rows, double weight) {
  using C = compute_t<T>;
  rows.compare();
  const auto put_gradient = [&](const operand<T, 2, memory_space::device>& x, int side) {
    if (!x.wants_gradient()) return;
    const double factor = rows.factor[side];
    const bool no_direction = has_no_direction(factor, default_norm_eps);
    rows.for_each([&](const vec4& q, const bool(&masked)[4], const auto& p, const auto& t) {
      C gradient[4] = {};
      FEAUG_UNROLL
      for (int e = 0; e < 4; ++e) {
        if (!masked[e] || no_direction) continue;
        const double units[2] = {static_cast<double>(p[e]) * rows.factor[0],
                                 static_cast<double>(t[e]) * rows.factor[1]};
        const double across =
            side == 0 ? units[1] - rows.cosine * units[0] : units[0] - rows.cosine * units[1];
        gradient[e] = static_cast<C>(-2.0 * weight * across * factor);
      }
      put_vec4(x, q, gradient);
    });
  };
  put_gradient(problem.prediction, 0);
  put_gradient(problem.target, 1);
  return rows.any ? 2.0 - 2.0 * rows.cosine : 0.0;
}

// losses[i] and the wanted gradients. One warp per row. Limited by memory bandwidth: each reading
// of a row reads 2·cols elements, each wanted gradient writes cols elements. Draws of the mask are
// repeated at every reading, so that no mask is stored. Registers: at most 128.
template <class Rule, element T>
__global__ void __launch_bounds__(256, 2)
    masked_prediction_kernel(Rule rule, masked_prediction_problem<T> problem, double* losses) {
  const int lane = static_cast<int>(threadIdx.x);
  const auto& prediction = problem.prediction.value;
  for (index_t i = static_cast<index_t>(blockIdx.x) * blockDim.y + threadIdx.y;
       i < prediction.rows(); i += static_cast<index_t>(gridDim.x) * blockDim.y) {
    masked_rows<Rule, T> rows = {.rule = rule,
                                 .rows = {prediction.row(i), problem.target.value.row(i)},
                                 .row = i,
                                 .cols = prediction.cols(),
                                 .lane = lane};
    const double weight = problem.reduction.gradient_weight(i);
    const double loss = problem.form == prediction_form::cosine
                            ? cosine_row(problem, rows, weight)
                            : difference_row(problem, rows, weight);
    if (lane == 0 && losses != nullptr) losses[i] = loss;
  }
}

/// One call of the loss; the constructor checks the arguments. Scratch: 8 bytes a row, 16 more a
/// row with fixed_count_mask.
template <element T, class P>
class masked_prediction_call {
 public:
  using C = compute_t<T>;
  using operand_type = operand<T, 2, memory_space::device>;

  masked_prediction_call(cuda_context& ctx, std::string_view op, const operand_type& prediction,
                         const operand_type& target, const P& policy, const random_key& key,
                         const device_masked_prediction_options<T>& options,
                         const feaug::detail::loss_vectors<C, memory_space::device>& vectors)
      : call_(ctx, op), policy_(policy), key_(key) {
    problem_ = {.prediction = prediction,
                .target = target,
                .form = options.form,
                .beta = options.beta,
                .reduction = feaug::detail::masked_prediction_arguments<P, T, memory_space::device>(
                    op, prediction, target, policy, key, options, vectors)};
    on_device(op, "prediction", prediction);
    on_device(op, "target", target);
    if constexpr (requires { policy.keep; }) on_device(op, "keep", policy.keep);
    on_device(op, problem_.reduction);
  }

  [[nodiscard]] index_t outputs() const { return problem_.reduction.outputs(); }

  void run(const device_vector<C>& loss) {
    if (loss.empty() && !problem_.prediction.wants_gradient() && !problem_.target.wants_gradient())
      return;
    const index_t rows = problem_.reduction.rows;
    const index_t cols = problem_.prediction.value.cols();
    const auto rule = rule_of(call_, policy_, key_, rows, cols);
    using rule_type = std::remove_const_t<decltype(rule)>;
    const dim3 block(warp_lanes, 8);
    const unsigned grid = grid_size(rows, block.y);
    auto* const losses = call_.take<double>(rows);
    if (problem_.reduction.reduction == reduce::mean) {
      auto* const total = call_.take<index_t>(1);
      // `losses` holds the counts until total_masked_kernel has summed them.
      call_.launch(count_masked_kernel<rule_type>, grid, block, 0, rule, rows, cols, losses);
      call_.launch(total_masked_kernel<index_t>, 1, sum_threads, 0, losses, rows,
                   problem_.form == prediction_form::cosine, total);
      problem_.reduction.counted = total;
    }
    call_.launch(masked_prediction_kernel<rule_type, T>, grid, block, 0, rule, problem_, losses);
    if (!loss.empty()) write_loss(call_, problem_.reduction, {losses, nullptr}, loss);
  }

 private:
  operation call_;
  P policy_;
  random_key key_;
  masked_prediction_problem<T> problem_;
};

}  // namespace cuda

template <element T, class P>
struct detail::masked_prediction_call<cuda_context, T, P> : cuda::masked_prediction_call<T, P> {
  using cuda::masked_prediction_call<T, P>::masked_prediction_call;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
