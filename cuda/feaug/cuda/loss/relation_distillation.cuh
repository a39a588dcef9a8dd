// CUDA implementation of relation_distillation: matches a query's similarities to a support with
// those of its key.
#pragma once

#include "feaug/header_begin.hpp"

#include <cmath>
#include <string_view>

#include "feaug/core/element.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/core/pointers.cuh"
#include "feaug/cuda/core/unit_backward.cuh"
#include "feaug/cuda/core/warps.cuh"
#include "feaug/cuda/loss/concatenated_rows.cuh"
#include "feaug/cuda/loss/contrast.cuh"
#include "feaug/cuda/loss/row_losses.cuh"
#include "feaug/cuda/loss/temperature.cuh"
#include "feaug/cuda/queue/compare_neighbours.cuh"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/relation_distillation.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

template <element T>
using device_relation_distillation_options = relation_distillation_options<T, memory_space::device>;

namespace cuda::inline FEAUG_CUBLAS_NAMESPACE {

/// The mean support rows under the two softmaxes, N × cols each.
template <class C>
struct relation_means {
  const C* query;  ///< null: not wanted
  const C* key;
};

/// The gradient with respect to the unit queries: coefficient · (m_P − m_T).
template <class C>
struct relation_gradient {
  relation_means<C> means;
  index_t cols;
  const double* coefficient;

  __device__ double operator()(index_t i, index_t j) const {
    const index_t at = i * cols + j;
    return coefficient[i] *
           (static_cast<double>(means.query[at]) - static_cast<double>(means.key[at]));
  }
};

// Row losses and coefficients of the gradient. One warp per row. If no support row is left, there
// is no softmax, and both are NaN. Limited by memory bandwidth: reads 2·cols elements a row.
// Registers: at most 64.
template <element T>
__global__ void __launch_bounds__(256)
    relation_rows_kernel(concatenated_rows<T> queries, relation_means<compute_t<T>> means,
                         double temperature, row_reduction<compute_t<T>> reduction,
                         const double* log_sum_exp, double* coefficient, double* losses) {
  const int lane = static_cast<int>(threadIdx.x);
  const index_t cols = queries.first.cols();
  for (index_t i = static_cast<index_t>(blockIdx.x) * blockDim.y + threadIdx.y; i < reduction.rows;
       i += static_cast<index_t>(gridDim.x) * blockDim.y) {
    double cosine = 0;
    for (index_t j = lane; j < cols; j += warp_lanes)
      cosine += queries.element(i, j) * static_cast<double>(means.key[i * cols + j]);
    cosine = warp_sum(cosine);
    if (lane != 0) continue;
    const bool is_empty = log_sum_exp[i] == detail::minus_infinity<double>();
    const double left = is_empty ? static_cast<double>(NAN) : 1.0;
    const feaug::detail::relation_terms terms(log_sum_exp[i], cosine, temperature,
                                              reduction.gradient_weight(i));
    losses[i] = terms.loss * left;
    coefficient[i] = terms.coefficient * left;
  }
}

/// One call of the loss; the constructor checks the arguments. Runs two softmax passes with means,
/// chunked, not fused. Scratch: packed copies of queries, keys and support (4 bytes an element), as
/// much again of queries and keys for their means, 40 bytes a row, 8 a row of the support, and that
/// of softmax_pass.
template <element T>
class relation_distillation_call {
 public:
  using C = compute_t<T>;
  using operand_type = operand<T, 2, memory_space::device>;
  using options_type = device_relation_distillation_options<T>;

  relation_distillation_call(cuda_context& ctx, std::string_view op, const operand_type& queries,
                             const device_matrix<const T>& keys,
                             const device_support_rows<T>& support, const options_type& options,
                             const feaug::detail::loss_vectors<C, memory_space::device>& vectors)
      : call_(ctx, op), queries_(queries), keys_(keys), support_(support), options_(options) {
    reduction_ = feaug::detail::relation_distillation_arguments<T, memory_space::device>(
        op, queries, keys, support, options, vectors);
    on_device(op, "queries", queries);
    on_device(op, "keys", keys);
    on_device(op, support);
    on_device(op, "exclude_ids", options.exclude_ids);
    on_device(op, reduction_);
  }

  [[nodiscard]] index_t outputs() const { return reduction_.outputs(); }

  void run(const device_vector<C>& loss) {
    if (loss.empty() && !queries_.wants_gradient()) return;
    const index_t rows = reduction_.rows;
    const index_t cols = keys_.cols();
    const bool by_queries = queries_.wants_gradient();
    const bool stored_unit = support_.in_queue() && support_.queue().normalize;
    const concatenated_rows<T> query_rows =
        concatenate_rows<T>(call_, options_.normalize, queries_.value, {}, false);
    const concatenated_rows<T> key_rows =
        concatenate_rows<T>(call_, options_.normalize, keys_, {}, false);
    columns_ = concatenate_rows<T>(call_, options_.normalize && !stored_unit, support_.rows(), {},
                                   false, support_.in_queue() ? support_.queue().size : nullptr);
    C* const key_means = call_.take<C>(rows * cols);
    C* const query_means = by_queries ? call_.take<C>(rows * cols) : nullptr;
    auto* const log_sum_exp = call_.take<double>(rows);
    auto* const coefficient = call_.take<double>(rows);
    auto* const losses = call_.take<double>(rows);
    softmax(key_rows, options_.teacher_temperature,
            {.log_sum_exp = log_sum_exp, .mean = key_means});
    softmax(query_rows, options_.temperature, {.log_sum_exp = log_sum_exp, .mean = query_means});
    const relation_means<C> means = {.query = query_means, .key = key_means};
    const dim3 block(warp_lanes, 8);
    call_.launch(relation_rows_kernel<T>, grid_size(rows, block.y), block, 0, query_rows, means,
                 options_.temperature, reduction_, log_sum_exp, coefficient, losses);
    if (by_queries) {
      unit_backward(call_, queries_, query_rows.inverse, default_norm_eps,
                    relation_gradient<C>{means, cols, coefficient});
    }
    if (!loss.empty()) write_loss(call_, reduction_, {losses, nullptr}, loss);
  }

 private:
  void softmax(const concatenated_rows<T>& rows, double number, const softmax_rows<C>& out) {
    const contrast_problem<T> logits = {
        .rows = rows,
        .columns = columns_,
        .positives = {},
        .positives_are_columns = false,
        .cols = keys_.cols(),
        .temperature = temperature_of<C>(number, {}),
        .filter = {.capacity = support_.rows().rows(),
                   .filled = support_.in_queue() ? support_.queue().size : nullptr,
                   .ids = support_.ids(),
                   .exclude_ids = options_.exclude_ids}};
    softmax_pass(call_.context(), call_.name(), logits, out);
  }

  operation call_;
  operand_type queries_;
  device_matrix<const T> keys_;
  device_support_rows<T> support_;
  options_type options_;
  row_reduction<C> reduction_;
  concatenated_rows<T> columns_;
};

}  // namespace cuda

template <element T>
struct detail::relation_distillation_call<cuda_context, T> : cuda::relation_distillation_call<T> {
  using cuda::relation_distillation_call<T>::relation_distillation_call;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
