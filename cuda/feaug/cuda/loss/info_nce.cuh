// CUDA implementation of info_nce: classifies each query's own key among all keys and negatives.
#pragma once

#include "feaug/header_begin.hpp"

#include <string_view>

#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/pointers.cuh"
#include "feaug/cuda/core/unit_backward.cuh"
#include "feaug/cuda/core/vectors.cuh"
#include "feaug/cuda/loss/contrast.cuh"
#include "feaug/cuda/loss/row_losses.cuh"
#include "feaug/loss/info_nce.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

template <element T>
using device_info_nce_options = info_nce_options<T, memory_space::device>;

namespace cuda::inline FEAUG_CUBLAS_NAMESPACE {

/// The gradient with respect to the unit queries if the softmax pass computed the mean of the
/// columns: Σ_j ∂L/∂s_ij k_j / τ = c·(mean − positive) / τ, with c = ∂L/∂(log_sum_exp − s_positive) and
/// the mean under the softmax over the negatives.
template <element T>
struct mean_gradient {
  contrast_problem<T> logits;
  const compute_t<T>* mean;
  const double* coefficient;

  __device__ double operator()(index_t i, index_t j) const {
    const double pulled = static_cast<double>(mean[i * logits.cols + j]) -
                          logits.positives.element(logits.pairs.positive(i), j);
    return coefficient[i] * pulled / logits.temperature.value();
  }
};

/// One call of the loss; the constructor checks the arguments. Scratch: packed copies of queries,
/// keys and negatives, and that of softmax_pass.
template <element T>
class info_nce_call {
 public:
  using C = compute_t<T>;
  using operand_type = operand<T, 2, memory_space::device>;

  info_nce_call(cuda_context& ctx, std::string_view op, const operand_type& queries,
                const operand_type& keys, const device_info_nce_options<T>& options,
                const feaug::detail::loss_vectors<C, memory_space::device>& vectors)
      : call_(ctx, op), queries_(queries), keys_(keys), options_(options) {
    reduction_ = feaug::detail::info_nce_arguments<T, memory_space::device>(op, queries, keys,
                                                                            options, vectors);
    on_device(op, "queries", queries);
    on_device(op, "keys", keys);
    on_device(op, "negatives", options.negatives);
    on_device(op, "learnable_temperature", options.learnable_temperature);
    on_device(op, reduction_);
  }

  [[nodiscard]] index_t outputs() const { return reduction_.outputs(); }
  [[nodiscard]] index_t statistics_size() const { return reduction_.rows; }

  void forward(const device_vector<C>& loss, const device_vector<C>& statistics) {
    prepare();
    softmax(false);
    write(loss, statistics);
  }
  /// With stopped keys, one pass over the logits gives the loss and all gradients.
  void forward_and_backward(const device_vector<C>& loss) {
    prepare();
    softmax(true);
    key_gradients();
    write(loss, {});
  }
  /// All gradients, from the statistics that forward() returned.
  void backward(const device_vector<const C>& statistics) {
    prepare();
    restore(statistics);
    query_gradient();
    key_gradients();
  }

  // The single steps, for losses that add terms to the softmax.

  /// Computes norms and packed rows, and allocates the row results. Call it after all checks.
  void prepare() {
    query_rows_ = concatenate_rows<T>(call_, options_.normalize, queries_.value);
    key_rows_ =
        concatenate_rows<T>(call_, options_.normalize, keys_.value, options_.negatives.value);
    results_ = take_row_results(call_, reduction_.rows, by_temperature());
  }

  /// The softmax of every query. With `gradients`, the same pass also gives the gradients with
  /// respect to queries and temperature.
  void softmax(bool gradients) {
    softmax(gradients, [](const row_results&, C*) {});
  }

  /// The same, but calls join(results, mean) after the pass. It must add any further terms of the
  /// softmax to log_sum_exp, mean_cosine and mean; the last two are null if not wanted.
  template <class Join>
  void softmax(bool gradients, const Join& join) {
    const contrast_problem<T> logits = queries_against_keys();
    const bool by_queries = gradients && queries_.wants_gradient();
    C* const mean = by_queries ? call_.take<C>(reduction_.rows * logits.cols) : nullptr;
    softmax_pass(call_.context(), call_.name(), logits,
                 {.log_sum_exp = results_.log_sum_exp,
                  .mean_cosine = gradients ? results_.mean_cosine : nullptr,
                  .mean = mean});
    join(results_, mean);
    row_losses<T>(call_, {.logits = logits, .reduction = reduction_}, results_);
    if (by_queries) {
      unit_backward(call_, queries_, query_rows_.inverse, default_norm_eps,
                    mean_gradient<T>{logits, mean, results_.coefficient});
    }
    if (gradients) write_temperature_gradient();
  }

  /// The gradients with respect to keys and negatives, by the gradient pass on the swapped problem.
  void key_gradients() {
    if (keys_.wants_gradient()) {
      contrast_problem<T> problem = queries_against_keys().swapped();
      problem.rows = key_rows_.only_first();
      problem.pairs = {.shift = -options_.positive_offset, .partners = reduction_.rows};
      if (!options_.in_batch_negatives) {
        // A key then occurs only in its own query's loss, as the positive, and that term is not
        // part of the pass over columns.
        problem.columns = {};
        problem.positives_are_columns = false;
      }
      gradient_pass(call_.context(), call_.name(), problem, {}, results_.weights(), keys_);
    }
    if (options_.negatives.wants_gradient()) {
      contrast_problem<T> problem = queries_against_keys().swapped();
      problem.rows = key_rows_.only_second();
      problem.pairs = {};
      gradient_pass(call_.context(), call_.name(), problem, {}, results_.weights(),
                    options_.negatives);
    }
  }

  void write(const device_vector<C>& loss, const device_vector<C>& statistics) const {
    copy_vector(call_, device_vector<const double>(results_.log_sum_exp, reduction_.rows),
                statistics);
    write_loss(call_, reduction_, {results_.row_loss, nullptr}, loss);
  }

  [[nodiscard]] operation& call() { return call_; }
  [[nodiscard]] const concatenated_rows<T>& query_rows() const { return query_rows_; }
  [[nodiscard]] concatenated_rows<T> negative_rows() const { return key_rows_.only_second(); }
  [[nodiscard]] cuda::temperature<C> temperature() const {
    return temperature_of(options_.temperature, options_.learnable_temperature);
  }

 private:
  /// Restores the row losses of forward() from the statistics that it returned.
  void restore(const device_vector<const C>& statistics) {
    const contrast_problem<T> logits = queries_against_keys();
    if (by_temperature()) {
      softmax_pass(call_.context(), call_.name(), logits,
                   {.log_sum_exp = results_.log_sum_exp, .mean_cosine = results_.mean_cosine});
    }
    copy_vector(call_, statistics, device_vector<double>(results_.log_sum_exp, reduction_.rows));
    row_losses<T>(call_, {.logits = logits, .reduction = reduction_}, results_);
    write_temperature_gradient();
  }

  void query_gradient() {
    if (!queries_.wants_gradient()) return;
    gradient_pass(call_.context(), call_.name(), queries_against_keys(), results_.weights(), {},
                  queries_);
  }

  [[nodiscard]] bool by_temperature() const {
    return options_.learnable_temperature.wants_gradient();
  }

  [[nodiscard]] contrast_problem<T> queries_against_keys() const {
    return {.rows = query_rows_,
            .columns = options_.in_batch_negatives ? key_rows_ : key_rows_.only_second(),
            .positives = key_rows_.only_first(),
            .pairs = {.shift = options_.positive_offset, .partners = keys_.value.rows()},
            .positives_are_columns = options_.in_batch_negatives,
            .cols = queries_.value.cols(),
            .temperature = temperature()};
  }

  void write_temperature_gradient() const {
    cuda::write_temperature_gradient(call_, results_.scale_term, reduction_.rows, temperature(),
                                     options_.learnable_temperature);
  }

  operation call_;
  operand_type queries_;
  operand_type keys_;
  device_info_nce_options<T> options_;
  row_reduction<C> reduction_;
  concatenated_rows<T> query_rows_;
  concatenated_rows<T> key_rows_;  // keys, then negatives
  row_results results_;
};

}  // namespace cuda

template <element T>
struct detail::info_nce_call<cuda_context, T> : cuda::info_nce_call<T> {
  using cuda::info_nce_call<T>::info_nce_call;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
