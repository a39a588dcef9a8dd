// CUDA implementation of supervised_contrastive: a row's positives are all other rows with its
// label.
#pragma once

#include "feaug/header_begin.hpp"

#include <string_view>

#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/core/pointers.cuh"
#include "feaug/cuda/core/vectors.cuh"
#include "feaug/cuda/loss/concatenated_rows.cuh"
#include "feaug/cuda/loss/contrast.cuh"
#include "feaug/cuda/loss/labels.cuh"
#include "feaug/cuda/loss/row_losses.cuh"
#include "feaug/cuda/loss/temperature.cuh"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/pairing.hpp"
#include "feaug/loss/supervised_contrastive.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

template <element T>
using device_supervised_contrastive_options =
    supervised_contrastive_options<T, memory_space::device>;

namespace cuda::inline FEAUG_CUBLAS_NAMESPACE {

// Coefficient of each row's gradient and, if positive_sum is not null, its loss and its term of the
// temperature's gradient. One thread per row. Limited by memory bandwidth: reads up to 32 and
// writes up to 24 bytes a row. (Without a minimum of 4 blocks, ptxas would use fewer registers on
// sm_80, and spill.) Registers: at most 64.
template <class C>
__global__ void __launch_bounds__(256, 4)
    labelled_rows_kernel(feaug::detail::labelling labels, temperature<C> tau,
                         row_reduction<C> reduction, const double* positive_sum,
                         row_results results) {
  for (index_t i = static_cast<index_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < reduction.rows;
       i += static_cast<index_t>(gridDim.x) * blockDim.x) {
    const double share = labels.positive_share[i];
    const double weight = share > 0 ? reduction.gradient_weight(i) : 0.0;
    results.coefficient[i] = weight;
    if (positive_sum == nullptr) continue;
    const double logit = positive_sum[i] * share;
    results.row_loss[i] = share > 0 ? results.log_sum_exp[i] - logit : 0.0;
    if (results.mean_cosine == nullptr || !(share > 0)) continue;
    const auto scale = static_cast<double>(static_cast<C>(1.0 / tau.value()));
    results.scale_term[i] =
        feaug::detail::by_inverse_temperature(weight, results.mean_cosine[i], logit / scale);
  }
}

/// One call of the loss; the constructor checks the arguments. Scratch: a packed copy of z, 88
/// bytes a row, and that of softmax_pass.
template <element T>
class supervised_contrastive_call {
 public:
  using C = compute_t<T>;
  using operand_type = operand<T, 2, memory_space::device>;
  using options_type = device_supervised_contrastive_options<T>;

  supervised_contrastive_call(cuda_context& ctx, std::string_view op, const operand_type& z,
                              const device_vector<const index_t>& labels,
                              const options_type& options,
                              const feaug::detail::loss_vectors<C, memory_space::device>& vectors)
      : call_(ctx, op), z_(z), labels_(labels), options_(options) {
    reduction_ = feaug::detail::supervised_contrastive_arguments<T, memory_space::device>(
        op, z, labels, options, vectors);
    on_device(op, "z", z);
    on_device(op, "labels", labels);
    on_device(op, "learnable_temperature", options.learnable_temperature);
    on_device(op, reduction_);
  }

  [[nodiscard]] index_t outputs() const { return reduction_.outputs(); }
  [[nodiscard]] index_t statistics_size() const { return reduction_.rows; }

  void forward(const device_vector<C>& loss, const device_vector<C>& statistics) {
    prepare();
    row_losses(false);
    copy_vector(call_, device_vector<const double>(results_.log_sum_exp, reduction_.rows),
                statistics);
    write(loss);
  }
  void forward_and_backward(const device_vector<C>& loss) {
    prepare();
    row_losses(true);
    write_temperature_gradient();
    row_gradient();
    write(loss);
  }
  void backward(const device_vector<const C>& statistics) {
    prepare();
    restore(statistics);
    row_gradient();
  }

 private:
  [[nodiscard]] bool by_temperature() const {
    return options_.learnable_temperature.wants_gradient();
  }

  /// Norms, packed rows, counts of positives, and memory for the row results.
  void prepare() {
    const concatenated_rows<T> rows =
        concatenate_rows<T>(call_, options_.normalize, z_.value, {}, false);
    auto* const with_positives = call_.take<index_t>(1);
    logits_ = {.rows = rows,
               .columns = rows,
               .positives = rows,
               .pairs = {.self = true},
               .positives_are_columns = false,
               .cols = z_.value.cols(),
               .temperature = temperature_of(options_.temperature, options_.learnable_temperature),
               .labels = take_labels(call_, labels_, with_positives)};
    reduction_.counted = with_positives;
    results_ = take_row_results(call_, reduction_.rows, by_temperature());
    positive_sum_ = call_.take<double>(reduction_.rows);
  }

  void row_losses(bool gradients) {
    softmax(gradients);
    finish_rows(positive_sum_);
  }

  void restore(const device_vector<const C>& statistics) {
    if (by_temperature()) softmax(true);
    copy_vector(call_, statistics, device_vector<double>(results_.log_sum_exp, reduction_.rows));
    finish_rows(by_temperature() ? positive_sum_ : nullptr);
    write_temperature_gradient();
  }

  /// z is both the rows and the columns, so both softmaxes contribute to its gradient.
  void row_gradient() {
    if (!z_.wants_gradient()) return;
    gradient_pass(call_.context(), call_.name(), logits_, results_.weights(), results_.weights(),
                  z_);
  }

  void write(const device_vector<C>& loss) const {
    write_loss(call_, reduction_, {results_.row_loss, nullptr}, loss);
  }

  void softmax(bool gradients) {
    softmax_pass(call_.context(), call_.name(), logits_,
                 {.log_sum_exp = results_.log_sum_exp,
                  .mean_cosine = gradients ? results_.mean_cosine : nullptr,
                  .positive_sum = positive_sum_});
  }

  void finish_rows(const double* positive_sum) const {
    call_.launch(labelled_rows_kernel<C>, grid_size(reduction_.rows, 256), 256, 0, logits_.labels,
                 logits_.temperature, reduction_, positive_sum, results_);
  }

  void write_temperature_gradient() const {
    cuda::write_temperature_gradient(call_, results_.scale_term, reduction_.rows,
                                     logits_.temperature, options_.learnable_temperature);
  }

  operation call_;
  operand_type z_;
  device_vector<const index_t> labels_;
  options_type options_;
  row_reduction<C> reduction_;
  contrast_problem<T> logits_;
  row_results results_;
  double* positive_sum_ = nullptr;
};

}  // namespace cuda

template <element T>
struct detail::supervised_contrastive_call<cuda_context, T> : cuda::supervised_contrastive_call<T> {
  using cuda::supervised_contrastive_call<T>::supervised_contrastive_call;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
