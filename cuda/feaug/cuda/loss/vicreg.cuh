// vicreg on a GPU; see feaug/cpu/loss/vicreg.hpp for what it computes.
#pragma once

#include <concepts>
#include <string_view>
#include <type_traits>

#include "feaug/core/columns.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/cuda/core/columns.cuh"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/pointers.cuh"
#include "feaug/cuda/loss/cross_moments.cuh"
#include "feaug/cuda/loss/row_losses.cuh"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/vicreg.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cuda {

/// A validated call.
template <element T>
class vicreg_call {
 public:
  using C = compute_t<T>;
  using operand_type = operand<T, 2, memory_space::device>;

  vicreg_call(cuda_context& ctx, std::string_view op, const operand_type& a, const operand_type& b,
              const vicreg_options& options, const device_vector<const C>& cotangent = {})
      : call_(ctx, op), a_(a), b_(b), options_(options) {
    reduction_ = feaug::detail::vicreg_arguments(op, a, b, options, cotangent);
    on_device(op, "a", a);
    on_device(op, "b", b);
    on_device(op, reduction_);
  }

  /// Writes the loss, if there is somewhere to, and the gradients that are wanted.
  void run(const device_vector<C>& loss) {
    const index_t features = reduction_.rows;
    if (!loss.empty()) {
      losses_ = call_.take<double>(features);
      sum_columns(call_, a_.value.rows(), features,
                  feaug::detail::vicreg_invariance<T, memory_space::device>{
                      a_.value, b_.value, options_.invariance, losses_});
    }
    view(a_, b_.value);
    view(b_, a_.value);
    if (!loss.empty()) write_loss(call_, reduction_, {losses_, nullptr}, loss);
  }

 private:
  /// One view's variances and covariances.
  void view(const operand_type& x, const device_matrix<const T>& other) {
    if (losses_ == nullptr && !x.wants_gradient()) return;
    const index_t rows = x.value.rows();
    const index_t features = x.value.cols();
    operation part(call_.context(), call_.name());
    auto* mean = part.take<double>(features);
    auto* squares = part.take<double>(features);
    auto* pull = part.take<double>(features);
    column_moments<T>(part, {.x = x.value}, mean, squares);
    const device_columns<T> centred = {.x = x.value, .mean = mean};
    const feaug::detail::vicreg_measure measure = {.options = options_,
                                                   .rows = rows,
                                                   .features = features,
                                                   .squares = squares,
                                                   .pull = pull,
                                                   .losses = losses_};
    const feaug::detail::vicreg_gradient<T, memory_space::device> gradient = {
        .own = centred, .other = other, .options = options_, .pull = pull, .reduction = reduction_};
    cross_moments_pass<T>(part.context(), part.name(),
                          {.x = centred,
                           .y = centred,
                           .scale = 1.0 / static_cast<double>(rows - 1),
                           .strip_elements = moment_strip_elements},
                          measure, x, gradient);
  }

  operation call_;
  operand_type a_;
  operand_type b_;
  vicreg_options options_;
  row_reduction<C> reduction_;
  double* losses_ = nullptr;
};

}  // namespace cuda

/// The loss, as on the CPU, into one element of device memory. Scratch: 32 bytes a feature and what
/// cross_moments_pass takes.
template <class A, class B, class T = std::remove_const_t<A>>
requires element<T> && std::same_as<T, std::remove_const_t<B>>
void vicreg(cuda_context& ctx, const device_matrix<A>& a, const device_matrix<B>& b,
            std::type_identity_t<device_vector<compute_t<T>>> loss,
            const vicreg_options& options = {}) {
  constexpr std::string_view op = "vicreg";
  cuda::vicreg_call<T> call(ctx, op, stop_gradient(a), stop_gradient(b), options);
  check::loss_outputs(op, loss, 1, {}, 0);
  cuda::on_device(op, "loss", loss);
  call.run(loss);
}

/// The gradients for a cotangent of one element in device memory.
template <element T>
void vicreg_backward(cuda_context& ctx, const operand<T, 2, memory_space::device>& a,
                     const operand<T, 2, memory_space::device>& b,
                     std::type_identity_t<device_vector<const compute_t<T>>> cotangent,
                     const vicreg_options& options = {}) {
  constexpr std::string_view op = "vicreg_backward";
  cuda::vicreg_call<T> call(ctx, op, a, b, options, cotangent);
  check::has_size(op, "cotangent", cotangent, 1, "the elements of the loss");
  call.run({});
}

/// Loss and gradients in one go, for a cotangent of options.gradient_scale.
template <element T>
void vicreg_with_gradients(cuda_context& ctx, const operand<T, 2, memory_space::device>& a,
                           const operand<T, 2, memory_space::device>& b,
                           std::type_identity_t<device_vector<compute_t<T>>> loss,
                           const vicreg_options& options = {}) {
  constexpr std::string_view op = "vicreg_with_gradients";
  cuda::vicreg_call<T> call(ctx, op, a, b, options);
  check::loss_outputs(op, loss, 1, {}, 0);
  cuda::on_device(op, "loss", loss);
  call.run(loss);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
