// How a GPU carries out info_nce.
#pragma once

#include <concepts>
#include <string_view>
#include <type_traits>

#include "feaug/cuda/core/context.cuh"
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

namespace cuda {

/// The gradient by a unit query where the soft-max pass left the mean of its columns: Σ_j ∂L/∂s_ij
/// k_j / τ = c·(mean − positive) / τ, c = ∂L/∂(log_sum − s_positive): the softmax over the
/// negatives against the positive.
template <element T>
struct mean_gradient {
  contrast<T> logits;
  const compute_t<T>* mean;
  const double* coefficient;

  __device__ double operator()(index_t i, index_t j) const {
    const double pulled = static_cast<double>(mean[i * logits.cols + j]) -
                          logits.positives.element(logits.pairs.positive(i), j);
    return coefficient[i] * pulled / logits.temperature.value();
  }
};

/// A validated call: everything the passes need. Scratch: packed copies of queries, keys and
/// negatives, and what soft_max_pass takes.
template <element T>
class info_nce_call {
 public:
  using C = compute_t<T>;
  using operand_type = operand<T, 2, memory_space::device>;

  info_nce_call(cuda_context& ctx, std::string_view op, const operand_type& queries,
                const operand_type& keys, const device_info_nce_options<T>& options,
                const device_vector<const C>& cotangent = {})
      : call_(ctx, op), queries_(queries), keys_(keys), options_(options) {
    reduction_ = feaug::detail::info_nce_arguments<T, memory_space::device>(op, queries, keys,
                                                                            options, cotangent);
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
    soft_max(false);
    write(loss, statistics);
  }
  /// With stopped keys one pass over the logits gives both.
  void forward_and_backward(const device_vector<C>& loss) {
    prepare();
    soft_max(true);
    key_gradients();
    write(loss, {});
  }
  /// All gradients, from the statistics that forward gave out.
  void backward(const device_vector<const C>& statistics) {
    prepare();
    restore(statistics);
    query_gradient();
    key_gradients();
  }

  // The steps, for a loss whose softmaxes take in more.

  /// Norms, packed rows, and scratch for what every row leaves. After all checks.
  void prepare() {
    query_stack_ = make_stack<T>(call_, options_.normalize, queries_.value);
    key_stack_ = make_stack<T>(call_, options_.normalize, keys_.value, options_.negatives.value);
    results_ = take_row_results(call_, reduction_.rows, by_temperature());
  }

  /// The soft-max of every query; with `gradients` also the gradient by queries and temperature
  /// from the same pass.
  void soft_max(bool gradients) {
    soft_max(gradients, [](const row_results&, C*) {});
  }

  /// The same, with join(results, mean) taking what else is in the soft-maxes into log_sum,
  /// mean_cosine and mean, as far as they are wanted (else null).
  template <class Join>
  void soft_max(bool gradients, const Join& join) {
    const contrast<T> logits = queries_against_keys();
    const bool by_queries = gradients && queries_.wants_gradient();
    C* const mean = by_queries ? call_.take<C>(reduction_.rows * logits.cols) : nullptr;
    soft_max_pass(call_.context(), call_.name(), logits,
                  {.log_sum = results_.log_sum,
                   .mean_cosine = gradients ? results_.mean_cosine : nullptr,
                   .mean = mean});
    join(results_, mean);
    row_losses<T>(call_, {.logits = logits, .reduction = reduction_}, results_);
    if (by_queries) {
      unit_backward(call_, queries_, query_stack_.inverse, default_norm_eps,
                    mean_gradient<T>{logits, mean, results_.coefficient});
    }
    if (gradients) write_temperature_gradient();
  }

  /// The gradients by keys and negatives: the same pass with the sides exchanged.
  void key_gradients() {
    if (keys_.wants_gradient()) {
      contrast<T> problem = queries_against_keys().swapped();
      problem.rows = key_stack_.only_first();
      problem.pairs = {.shift = -options_.positive_offset, .partners = reduction_.rows};
      if (!options_.in_batch_negatives) {
        // Then a key is met by its own query only, and that term is not part of the pass over
        // columns.
        problem.columns = {};
        problem.positives_are_columns = false;
      }
      gradient_pass(call_.context(), call_.name(), problem, {}, results_.weights(), keys_);
    }
    if (options_.negatives.wants_gradient()) {
      contrast<T> problem = queries_against_keys().swapped();
      problem.rows = key_stack_.only_second();
      problem.pairs = {};
      gradient_pass(call_.context(), call_.name(), problem, {}, results_.weights(),
                    options_.negatives);
    }
  }

  void write(const device_vector<C>& loss, const device_vector<C>& statistics) const {
    copy_vector(call_, device_vector<const double>(results_.log_sum, reduction_.rows), statistics);
    write_loss(call_, reduction_, {results_.row_loss, nullptr}, loss);
  }

  [[nodiscard]] operation& call() { return call_; }
  [[nodiscard]] const row_stack<T>& query_stack() const { return query_stack_; }
  [[nodiscard]] row_stack<T> negative_stack() const { return key_stack_.only_second(); }
  [[nodiscard]] cuda::temperature<C> temperature() const {
    return temperature_of(options_.temperature, options_.learnable_temperature);
  }

 private:
  /// Row losses as forward left them, from the statistics that it gave out.
  void restore(const device_vector<const C>& statistics) {
    const contrast<T> logits = queries_against_keys();
    if (by_temperature()) {
      soft_max_pass(call_.context(), call_.name(), logits,
                    {.log_sum = results_.log_sum, .mean_cosine = results_.mean_cosine});
    }
    copy_vector(call_, statistics, device_vector<double>(results_.log_sum, reduction_.rows));
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

  [[nodiscard]] contrast<T> queries_against_keys() const {
    return {.rows = query_stack_,
            .columns = options_.in_batch_negatives ? key_stack_ : key_stack_.only_second(),
            .positives = key_stack_.only_first(),
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
  row_stack<T> query_stack_;
  row_stack<T> key_stack_;  // keys, then negatives
  row_results results_;
};

}  // namespace cuda

template <element T>
struct detail::info_nce_call<cuda_context, T> : cuda::info_nce_call<T> {
  using cuda::info_nce_call<T>::info_nce_call;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
