// info_nce on a GPU; see feaug/cpu/loss/info_nce.hpp for what it computes.
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
/// k_j / τ = c·(mean − positive), c = ∂L/∂(log_sum − s_positive) / τ: the soft-max over the
/// negatives against the positive.
template <element T>
struct mean_gradient {
  contrast<T> logits;
  const compute_t<T>* mean;
  const double* scaled_coefficient;

  __device__ double operator()(index_t i, index_t j) const {
    const double pulled = static_cast<double>(mean[i * logits.cols + j]) -
                          logits.positives.element(logits.pairs.positive(i), j);
    return scaled_coefficient[i] * pulled;
  }
};

/// A validated call: everything the passes need.
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

  /// Norms, packed rows, and scratch for what every row leaves. After all checks.
  void prepare() {
    query_stack_ = make_stack<T>(call_, options_.normalize, queries_.value);
    key_stack_ = make_stack<T>(call_, options_.normalize, keys_.value, options_.negatives.value);
    results_ = take_row_results(call_, reduction_.rows, by_temperature());
  }

  /// The soft-max of every query; with `gradients` also the gradient by queries and temperature
  /// from the same pass.
  void forward(bool gradients) {
    forward(gradients, [](const row_results&, C*) {});
  }

  /// The same, with join(results, mean) taking what else is in the soft-maxes into log_sum,
  /// mean_cosine and mean, as far as they are wanted (else null).
  template <class Join>
  void forward(bool gradients, const Join& join) {
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
                    mean_gradient<T>{logits, mean, results_.scaled_coefficient});
    }
    if (gradients) write_temperature_gradient();
  }

  /// All gradients, from the statistics that forward gave out.
  void backward(const device_vector<const C>& statistics) {
    restore(statistics);
    query_gradient();
    key_gradients();
  }

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
  [[nodiscard]] index_t outputs() const { return reduction_.outputs(); }
  [[nodiscard]] const row_stack<T>& query_stack() const { return query_stack_; }
  [[nodiscard]] row_stack<T> negative_stack() const { return key_stack_.only_second(); }
  [[nodiscard]] cuda::temperature<C> temperature() const {
    return temperature_of(options_.temperature, options_.learnable_temperature);
  }

 private:
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

/// The loss, as on the CPU, into one element or N of device memory. Scratch: packed copies of
/// queries, keys and negatives, and what soft_max_pass takes.
template <class Q, class K, class T = std::remove_const_t<Q>>
requires element<T> && std::same_as<T, std::remove_const_t<K>>
void info_nce(cuda_context& ctx, const device_matrix<Q>& queries, const device_matrix<K>& keys,
              std::type_identity_t<device_vector<compute_t<T>>> loss,
              const std::type_identity_t<device_info_nce_options<T>>& options = {},
              std::type_identity_t<device_vector<compute_t<T>>> statistics = {}) {
  cuda::info_nce_call<T> call(ctx, "info_nce", stop_gradient(queries), stop_gradient(keys),
                              options);
  check::loss_outputs("info_nce", loss, call.outputs(), statistics, queries.rows());
  cuda::on_device("info_nce", "loss", loss);
  cuda::on_device("info_nce", "statistics", statistics);
  call.prepare();
  call.forward(false);
  call.write(loss, statistics);
}

/// The gradients from what info_nce left in `statistics`, for a cotangent in device memory.
template <element T>
void info_nce_backward(cuda_context& ctx, const operand<T, 2, memory_space::device>& queries,
                       const operand<T, 2, memory_space::device>& keys,
                       std::type_identity_t<device_vector<const compute_t<T>>> statistics,
                       std::type_identity_t<device_vector<const compute_t<T>>> cotangent,
                       const std::type_identity_t<device_info_nce_options<T>>& options = {}) {
  constexpr std::string_view op = "info_nce_backward";
  cuda::info_nce_call<T> call(ctx, op, queries, keys, options, cotangent);
  check::backward_inputs(op, statistics, queries.value.rows(), cotangent);
  cuda::on_device(op, "statistics", statistics);
  call.prepare();
  call.backward(statistics);
}

/// Loss and gradients in one go, for a cotangent of options.gradient_scale. With stopped keys one
/// pass over the logits gives both.
template <element T>
void info_nce_with_gradients(cuda_context& ctx, const operand<T, 2, memory_space::device>& queries,
                             const operand<T, 2, memory_space::device>& keys,
                             std::type_identity_t<device_vector<compute_t<T>>> loss,
                             const std::type_identity_t<device_info_nce_options<T>>& options = {}) {
  constexpr std::string_view op = "info_nce_with_gradients";
  cuda::info_nce_call<T> call(ctx, op, queries, keys, options);
  check::loss_outputs(op, loss, call.outputs(), {}, queries.value.rows());
  cuda::on_device(op, "loss", loss);
  call.prepare();
  call.forward(true);
  call.key_gradients();
  call.write(loss, {});
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
