// CUDA implementation of soft_neighbour_contrast: a contrastive loss whose positives are a query's
// key and, weighted by similarity, its neighbours (SNCLR).
#pragma once

#include "feaug/header_begin.hpp"

#include <string_view>

#include "feaug/core/element.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/l2_norm.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/core/pointers.cuh"
#include "feaug/cuda/core/unit_backward.cuh"
#include "feaug/cuda/core/warps.cuh"
#include "feaug/cuda/loss/concatenated_rows.cuh"
#include "feaug/cuda/loss/contrast.cuh"
#include "feaug/cuda/loss/row_losses.cuh"
#include "feaug/cuda/loss/temperature.cuh"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/soft_neighbour_contrast.hpp"
#include "feaug/queue/neighbour_softmax.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

template <element T>
using device_soft_neighbour_contrast_options =
    soft_neighbour_contrast_options<T, memory_space::device>;

namespace cuda::inline FEAUG_CUBLAS_NAMESPACE {

/// Inputs and intermediate results of the row losses.
template <element T>
struct soft_neighbour_rows {
  concatenated_rows<T> queries;
  concatenated_rows<T> columns;  ///< keys, then neighbours
  concatenated_rows<T> attention;
  index_t k;
  double temperature;
  double label_temperature;
  double neighbour_weight;
  // N · k each; labels do not include neighbour_weight:
  double* labels;
  double* cosines;      ///< of queries; later the weights in the gradient with respect to attention
  double* coefficient;  ///< N: coefficients of the rows' gradients

  [[nodiscard]] FEAUG_HD index_t rows() const { return queries.first.rows(); }
  [[nodiscard]] FEAUG_HD index_t cols() const { return queries.first.cols(); }
  [[nodiscard]] FEAUG_HD index_t place(index_t i, index_t rank) const { return i * k + rank; }
  [[nodiscard]] FEAUG_HD index_t neighbour(index_t i, index_t rank) const {
    return rows() + place(i, rank);
  }
};

// Cosines of each neighbour with the row of attention and with the query. One warp per neighbour.
// Limited by memory bandwidth: reads 4·cols elements, writes 16 bytes. (Without a minimum of 2
// blocks, ptxas would use fewer registers on sm_80, and spill.) Registers: at most 96.
template <element T>
__global__ void __launch_bounds__(256, 2)
    soft_neighbour_cosines_kernel(soft_neighbour_rows<T> what) {
  const int lane = static_cast<int>(threadIdx.x);
  for (index_t at = static_cast<index_t>(blockIdx.x) * blockDim.y + threadIdx.y;
       at < what.rows() * what.k; at += static_cast<index_t>(gridDim.x) * blockDim.y) {
    const index_t i = at / what.k;
    const index_t column = what.neighbour(i, at % what.k);
    const double attention = warp_dot(what.attention, i, what.columns, column, what.cols(), lane);
    const double query = warp_dot(what.queries, i, what.columns, column, what.cols(), lane);
    if (lane != 0) continue;
    what.labels[at] = attention;
    what.cosines[at] = query;
  }
}

// Labels and, if log_sum_exp is not null, the row losses; then replaces every neighbour's cosine by its
// weight in the gradient with respect to the attention. One warp per row, of which one lane does
// the work of k neighbours. Limited by memory bandwidth (2·cols elements) and by that lane's 2·k or
// more exponentials in double. (Without a minimum of 2 blocks, ptxas would use fewer registers on
// sm_80, and spill.) Registers: at most 96.
template <element T>
__global__ void __launch_bounds__(256, 2)
    soft_neighbour_rows_kernel(soft_neighbour_rows<T> what, row_reduction<compute_t<T>> reduction,
                               const double* log_sum_exp, double* losses) {
  const int lane = static_cast<int>(threadIdx.x);
  for (index_t i = static_cast<index_t>(blockIdx.x) * blockDim.y + threadIdx.y; i < reduction.rows;
       i += static_cast<index_t>(gridDim.x) * blockDim.y) {
    const double own = warp_dot(what.queries, i, what.columns, i, what.cols(), lane);
    if (lane != 0) continue;
    neighbour_softmax softmax(what.label_temperature);
    for (index_t rank = 0; rank < what.k; ++rank) softmax.take(what.labels[what.place(i, rank)]);
    double mean = 0;
    for (index_t rank = 0; rank < what.k; ++rank) {
      const index_t at = what.place(i, rank);
      const double label = softmax.weight(what.labels[at]);
      what.labels[at] = label;
      mean += label * what.cosines[at];
    }
    const double by_label = -what.neighbour_weight / what.temperature;
    for (index_t rank = 0; rank < what.k; ++rank) {
      const index_t at = what.place(i, rank);
      what.cosines[at] =
          softmax.slope(what.labels[at], by_label * what.cosines[at], by_label * mean);
    }
    what.coefficient[i] = reduction.gradient_weight(i);
    if (log_sum_exp == nullptr) continue;
    losses[i] = (1.0 + what.neighbour_weight) * log_sum_exp[i] -
                (own + what.neighbour_weight * mean) / what.temperature;
  }
}

/// The gradient with respect to the unit queries: coefficient · (Y · mean − Σ y · column) / τ, with
/// Y = 1 + neighbour_weight.
template <element T>
struct soft_neighbour_query_gradient {
  soft_neighbour_rows<T> what;
  const compute_t<T>* mean;

  __device__ double operator()(index_t i, index_t j) const {
    double gradient =
        (1.0 + what.neighbour_weight) * static_cast<double>(mean[i * what.cols() + j]) -
        what.columns.element(i, j);
    for (index_t rank = 0; rank < what.k; ++rank) {
      gradient -= what.neighbour_weight * what.labels[what.place(i, rank)] *
                  what.columns.element(what.neighbour(i, rank), j);
    }
    return what.coefficient[i] * gradient / what.temperature;
  }
};

/// The gradient with respect to the unit rows of the attention.
template <element T>
struct soft_neighbour_attention_gradient {
  soft_neighbour_rows<T> what;

  __device__ double operator()(index_t i, index_t j) const {
    double gradient = 0;
    for (index_t rank = 0; rank < what.k; ++rank) {
      gradient +=
          what.cosines[what.place(i, rank)] * what.columns.element(what.neighbour(i, rank), j);
    }
    return what.coefficient[i] * gradient;
  }
};

/// One call of the loss; the constructor checks the arguments. Runs one softmax pass with means.
/// Scratch: packed copies of queries, keys and neighbours (4 bytes an element), N × D elements for
/// the gradient, 48 + 24·k bytes a row, and that of softmax_pass.
template <element T>
class soft_neighbour_contrast_call {
 public:
  using C = compute_t<T>;
  using operand_type = operand<T, 2, memory_space::device>;
  using options_type = device_soft_neighbour_contrast_options<T>;

  soft_neighbour_contrast_call(cuda_context& ctx, std::string_view op, const operand_type& queries,
                               const device_matrix<const T>& keys,
                               const device_matrix<const T>& neighbours,
                               const options_type& options,
                               const feaug::detail::loss_vectors<C, memory_space::device>& vectors)
      : call_(ctx, op), queries_(queries), keys_(keys), neighbours_(neighbours), options_(options) {
    reduction_ = feaug::detail::soft_neighbour_contrast_arguments<T, memory_space::device>(
        op, queries, keys, neighbours, options, vectors);
    on_device(op, "queries", queries);
    on_device(op, "keys", keys);
    on_device(op, "neighbours", neighbours);
    on_device(op, "attention", options.attention);
    on_device(op, reduction_);
  }

  [[nodiscard]] index_t outputs() const { return reduction_.outputs(); }

  void run(const device_vector<C>& loss) {
    if (loss.empty() && !queries_.wants_gradient() && !options_.attention.wants_gradient()) return;
    const index_t rows = reduction_.rows;
    const index_t k = neighbours_.rows() / rows;
    const soft_neighbour_rows<T> what = {
        .queries = concatenate_rows<T>(call_, options_.normalize, queries_.value),
        .columns = concatenate_rows<T>(call_, options_.normalize, keys_, neighbours_),
        .attention = attention_rows(),
        .k = k,
        .temperature = options_.temperature,
        .label_temperature = options_.label_temperature,
        .neighbour_weight = options_.neighbour_weight,
        .labels = call_.take<double>(rows * k),
        .cosines = call_.take<double>(rows * k),
        .coefficient = call_.take<double>(rows)};
    const bool by_queries = queries_.wants_gradient();
    const bool contrasts = by_queries || !loss.empty();
    C* const mean = by_queries ? call_.take<C>(rows * what.cols()) : nullptr;
    double* const log_sum_exp = contrasts ? call_.take<double>(rows) : nullptr;
    double* const losses = contrasts ? call_.take<double>(rows) : nullptr;
    if (contrasts) softmax(what, {.log_sum_exp = log_sum_exp, .mean = mean});
    const dim3 block(warp_lanes, 8);
    call_.launch(soft_neighbour_cosines_kernel<T>, grid_size(rows * k, block.y), block, 0, what);
    call_.launch(soft_neighbour_rows_kernel<T>, grid_size(rows, block.y), block, 0, what,
                 reduction_, log_sum_exp, losses);
    unit_backward(call_, queries_, what.queries.inverse, default_norm_eps,
                  soft_neighbour_query_gradient<T>{what, mean});
    unit_backward(call_, options_.attention, what.attention.inverse, default_norm_eps,
                  soft_neighbour_attention_gradient<T>{what});
    if (!loss.empty()) write_loss(call_, reduction_, {losses, nullptr}, loss);
  }

 private:
  /// Not packed, since no matrix product reads it.
  concatenated_rows<T> attention_rows() {
    const device_matrix<const T>& given = options_.attention.value;
    concatenated_rows<T> stack{.first = given.data == nullptr ? queries_.value : given};
    if (options_.normalize) {
      auto* const inverse = call_.take<double>(stack.rows());
      row_norms(call_, stack.first, norm_output::inverse, default_norm_eps, inverse);
      stack.inverse = inverse;
    }
    return stack;
  }

  void softmax(const soft_neighbour_rows<T>& what, const softmax_rows<C>& out) {
    const contrast_problem<T> logits = {.rows = what.queries,
                                        .columns = what.columns,
                                        .positives = {},
                                        .positives_are_columns = false,
                                        .cols = what.cols(),
                                        .temperature = temperature_of<C>(what.temperature, {})};
    softmax_pass(call_.context(), call_.name(), logits, out);
  }

  operation call_;
  operand_type queries_;
  device_matrix<const T> keys_;
  device_matrix<const T> neighbours_;
  options_type options_;
  row_reduction<C> reduction_;
};

}  // namespace cuda

template <element T>
struct detail::soft_neighbour_contrast_call<cuda_context, T>
    : cuda::soft_neighbour_contrast_call<T> {
  using cuda::soft_neighbour_contrast_call<T>::soft_neighbour_contrast_call;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
