// CUDA implementation of sigmoid: the SigLIP loss, a binary classification of every pair of rows.
#pragma once

#include "feaug/header_begin.hpp"

#include <string_view>

#include "feaug/core/element.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/pointers.cuh"
#include "feaug/cuda/core/unit_backward.cuh"
#include "feaug/cuda/loss/concatenated_rows.cuh"
#include "feaug/cuda/loss/logistic.cuh"
#include "feaug/cuda/loss/row_losses.cuh"
#include "feaug/cuda/loss/temperature.cuh"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/sigmoid.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

template <element T>
using device_sigmoid_options = sigmoid_options<T, memory_space::device>;

namespace cuda::inline FEAUG_CUBLAS_NAMESPACE {

/// One call of the loss; the constructor checks the arguments. Scratch: packed copies of a and b,
/// 40 bytes a row, and that of logistic_pass.
template <element T>
class sigmoid_call {
 public:
  using C = compute_t<T>;
  using operand_type = operand<T, 2, memory_space::device>;

  sigmoid_call(cuda_context& ctx, std::string_view op, const operand_type& a, const operand_type& b,
               const device_sigmoid_options<T>& options,
               const feaug::detail::loss_vectors<C, memory_space::device>& vectors)
      : call_(ctx, op), a_(a), b_(b), options_(options) {
    reduction_ =
        feaug::detail::sigmoid_arguments<T, memory_space::device>(op, a, b, options, vectors);
    on_device(op, "a", a);
    on_device(op, "b", b);
    on_device(op, "learnable_scale", options.learnable_scale);
    on_device(op, "learnable_bias", options.learnable_bias);
    on_device(op, reduction_);
  }

  [[nodiscard]] index_t outputs() const { return reduction_.outputs(); }

  void stop_gradients() {
    options_.learnable_scale.mode = gradient_mode::none;
    options_.learnable_bias.mode = gradient_mode::none;
  }

  /// Writes the loss, if `loss` is not empty, and the wanted gradients.
  void run(const device_vector<C>& loss) {
    if (loss.empty() && !a_.wants_gradient() && !b_.wants_gradient() && !by_numbers()) return;
    prepare();
    run_rows(!loss.empty());
    run_columns();
    if (!loss.empty()) write_loss(call_, reduction_, {rows_.row_loss, nullptr}, loss);
  }

 private:
  [[nodiscard]] bool by_numbers() const {
    return options_.learnable_scale.wants_gradient() || options_.learnable_bias.wants_gradient();
  }

  /// Norms, packed rows, and the positives' terms.
  void prepare() {
    const concatenated_rows<T> a =
        concatenate_rows<T>(call_, options_.normalize, a_.value, {}, false);
    const concatenated_rows<T> b =
        concatenate_rows<T>(call_, options_.normalize, b_.value, {}, false);
    problem_ = {.pairs = {.rows = a,
                          .columns = b,
                          .positives = b,
                          .pairs = {.shift = 0, .partners = reduction_.rows},
                          .positives_are_columns = true,
                          .cols = a_.value.cols()},
                .scale = number_of(options_.scale, options_.learnable_scale),
                .bias = number_of(options_.bias, options_.learnable_bias)};
    rows_ = begin_logistic_rows(call_, problem_, reduction_);
    if (a_.wants_gradient() || b_.wants_gradient())
      sums_ = call_.take<C>(reduction_.rows * a_.value.cols());
  }

  /// All rows of a against b: the losses if wanted, and the gradients with respect to a, scale and
  /// bias.
  void run_rows(bool losses) {
    const bool by_a = a_.wants_gradient();
    if (!losses && !by_a && !by_numbers()) return;
    logistic_pass(call_.context(), call_.name(), problem_, rows_.weight, nullptr,
                  losses || by_numbers() ? rows_ : logistic_rows{}, by_a ? sums_ : nullptr);
    if (by_a) write_gradient(a_, problem_);
    if (!by_numbers()) return;
    write_scalar_gradient(call_, rows_.scale_term, reduction_.rows, by_the_number_itself{},
                          options_.learnable_scale);
    write_scalar_gradient(call_, rows_.bias_term, reduction_.rows, by_the_number_itself{},
                          options_.learnable_bias);
  }

  /// The gradient with respect to b: the same pass on the swapped problem.
  void run_columns() {
    if (!b_.wants_gradient()) return;
    logistic_problem<T> swapped = problem_;
    swapped.pairs = problem_.pairs.swapped();
    logistic_pass(call_.context(), call_.name(), swapped, nullptr, rows_.weight, {}, sums_);
    write_gradient(b_, swapped);
  }

  void write_gradient(const operand_type& x, const logistic_problem<T>& problem) const {
    unit_backward(call_, x, problem.pairs.rows.inverse, default_norm_eps,
                  logistic_gradient<T>{problem, sums_, rows_.positive_gradient});
  }

  operation call_;
  operand_type a_;
  operand_type b_;
  device_sigmoid_options<T> options_;
  row_reduction<C> reduction_;
  logistic_problem<T> problem_;
  logistic_rows rows_;
  C* sums_ = nullptr;
};

}  // namespace cuda

template <element T>
struct detail::sigmoid_call<cuda_context, T> : cuda::sigmoid_call<T> {
  using cuda::sigmoid_call<T>::sigmoid_call;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
