// sigmoid on a GPU; see feaug/cpu/loss/sigmoid.hpp for what it computes.
#pragma once

#include <concepts>
#include <string_view>
#include <type_traits>

#include "feaug/core/row_norm.hpp"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/pointers.cuh"
#include "feaug/cuda/core/unit_backward.cuh"
#include "feaug/cuda/loss/logistic.cuh"
#include "feaug/cuda/loss/row_losses.cuh"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/sigmoid.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

template <element T>
using device_sigmoid_options = sigmoid_options<T, memory_space::device>;

namespace cuda {

/// A validated call: everything the passes need.
template <element T>
class sigmoid_call {
 public:
  using C = compute_t<T>;
  using operand_type = operand<T, 2, memory_space::device>;

  sigmoid_call(cuda_context& ctx, std::string_view op, const operand_type& a, const operand_type& b,
               const device_sigmoid_options<T>& options,
               const device_vector<const C>& cotangent = {})
      : call_(ctx, op), a_(a), b_(b), options_(options) {
    reduction_ =
        feaug::detail::sigmoid_arguments<T, memory_space::device>(op, a, b, options, cotangent);
    on_device(op, "a", a);
    on_device(op, "b", b);
    on_device(op, "learnable_scale", options.learnable_scale);
    on_device(op, "learnable_bias", options.learnable_bias);
    on_device(op, reduction_);
  }

  [[nodiscard]] index_t outputs() const { return reduction_.outputs(); }

  /// Norms, packed rows, and the positives' share of everything. After all checks.
  void prepare() {
    const row_stack<T> a = make_stack<T>(call_, options_.normalize, a_.value, {}, false);
    const row_stack<T> b = make_stack<T>(call_, options_.normalize, b_.value, {}, false);
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

  /// All rows of a against b: the losses if wanted; with `gradients` also the gradients by a, scale
  /// and bias.
  void run_rows(bool losses, bool gradients) {
    const bool by_a = gradients && a_.wants_gradient();
    const bool by_numbers = gradients && (options_.learnable_scale.wants_gradient() ||
                                          options_.learnable_bias.wants_gradient());
    if (!losses && !by_a && !by_numbers) return;
    logistic_pass(call_.context(), call_.name(), problem_, rows_.weight, nullptr,
                  losses || by_numbers ? rows_ : logistic_rows{}, by_a ? sums_ : nullptr);
    if (by_a) write_gradient(a_, problem_);
    if (!by_numbers) return;
    write_scalar_gradient(call_, rows_.scale_term, reduction_.rows, by_the_number_itself{},
                          options_.learnable_scale);
    write_scalar_gradient(call_, rows_.bias_term, reduction_.rows, by_the_number_itself{},
                          options_.learnable_bias);
  }

  /// The gradient by b: the same pass with the sides exchanged.
  void run_columns() {
    if (!b_.wants_gradient()) return;
    logistic_problem<T> swapped = problem_;
    swapped.pairs = problem_.pairs.swapped();
    logistic_pass(call_.context(), call_.name(), swapped, nullptr, rows_.weight, {}, sums_);
    write_gradient(b_, swapped);
  }

  void write(const device_vector<C>& loss) const {
    write_loss(call_, reduction_, {rows_.row_loss, nullptr}, loss);
  }

 private:
  void write_gradient(const operand_type& x, const logistic_problem<T>& problem) const {
    unit_backward(call_, x, problem.pairs.rows.inverse, default_norm_eps,
                  logistic_gradient<T>{problem, sums_, rows_.pull});
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

/// The loss, as on the CPU, into one element or N of device memory. Scratch: packed copies of a and
/// b, 40 bytes a row, and what logistic_pass takes.
template <class A, class B, class T = std::remove_const_t<A>>
requires element<T> && std::same_as<T, std::remove_const_t<B>>
void sigmoid(cuda_context& ctx, const device_matrix<A>& a, const device_matrix<B>& b,
             std::type_identity_t<device_vector<compute_t<T>>> loss,
             const std::type_identity_t<device_sigmoid_options<T>>& options = {}) {
  constexpr std::string_view op = "sigmoid";
  cuda::sigmoid_call<T> call(ctx, op, stop_gradient(a), stop_gradient(b), options);
  check::loss_outputs(op, loss, call.outputs(), {}, 0);
  cuda::on_device(op, "loss", loss);
  call.prepare();
  call.run_rows(true, false);
  call.write(loss);
}

/// The gradients for a cotangent of one element or N in device memory.
template <element T>
void sigmoid_backward(cuda_context& ctx, const operand<T, 2, memory_space::device>& a,
                      const operand<T, 2, memory_space::device>& b,
                      std::type_identity_t<device_vector<const compute_t<T>>> cotangent,
                      const std::type_identity_t<device_sigmoid_options<T>>& options = {}) {
  constexpr std::string_view op = "sigmoid_backward";
  cuda::sigmoid_call<T> call(ctx, op, a, b, options, cotangent);
  check::has_cotangent(op, cotangent);
  call.prepare();
  call.run_rows(false, true);
  call.run_columns();
}

/// Loss and gradients in one go, for a cotangent of options.gradient_scale. With b stopped one pass
/// over the logits gives both.
template <element T>
void sigmoid_with_gradients(cuda_context& ctx, const operand<T, 2, memory_space::device>& a,
                            const operand<T, 2, memory_space::device>& b,
                            std::type_identity_t<device_vector<compute_t<T>>> loss,
                            const std::type_identity_t<device_sigmoid_options<T>>& options = {}) {
  constexpr std::string_view op = "sigmoid_with_gradients";
  cuda::sigmoid_call<T> call(ctx, op, a, b, options);
  check::loss_outputs(op, loss, call.outputs(), {}, 0);
  cuda::on_device(op, "loss", loss);
  call.prepare();
  call.run_rows(true, true);
  call.run_columns();
  call.write(loss);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
