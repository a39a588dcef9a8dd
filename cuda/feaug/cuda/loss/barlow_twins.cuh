// CUDA implementation of barlow_twins: pushes the cross-correlation matrix of the two views'
// features to the identity.
#pragma once

#include "feaug/header_begin.hpp"

#include <string_view>

#include "feaug/core/columns.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/columns.cuh"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/core/pointers.cuh"
#include "feaug/cuda/loss/cross_moments.cuh"
#include "feaug/cuda/loss/row_losses.cuh"
#include "feaug/loss/barlow_twins.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cuda::inline FEAUG_CUBLAS_NAMESPACE {

// Replaces squared deviations by 1 / σ. One thread per feature. Limited by memory bandwidth: 8
// bytes read and 8 written.
template <class Number>
__global__ void __launch_bounds__(256)
    inverse_deviations_kernel(Number* squares, index_t features, index_t rows, double eps) {
  for (index_t j = static_cast<index_t>(blockIdx.x) * blockDim.x + threadIdx.x; j < features;
       j += static_cast<index_t>(gridDim.x) * blockDim.x) {
    squares[j] = feaug::detail::inverse_deviation(squares[j], rows, eps);
  }
}

/// One call of the loss; the constructor checks the arguments. Scratch: 56 bytes a feature and that
/// of cross_moments_pass.
template <element T>
class barlow_twins_call {
 public:
  using C = compute_t<T>;
  using operand_type = operand<T, 2, memory_space::device>;

  barlow_twins_call(cuda_context& ctx, std::string_view op, const operand_type& a,
                    const operand_type& b, const barlow_twins_options& options,
                    const feaug::detail::loss_vectors<C, memory_space::device>& vectors)
      : call_(ctx, op), a_(a), b_(b), options_(options) {
    reduction_ = feaug::detail::barlow_twins_arguments(op, a, b, options, vectors);
    on_device(op, "a", a);
    on_device(op, "b", b);
    on_device(op, reduction_);
  }

  [[nodiscard]] index_t outputs() const { return reduction_.outputs(); }

  /// Writes the loss, if `loss` is not empty, and the wanted gradients.
  void run(const device_vector<C>& loss) {
    if (loss.empty() && !a_.wants_gradient() && !b_.wants_gradient()) return;
    const index_t features = reduction_.rows;
    measure_ = {.lambda = options_.lambda,
                .diagonal = call_.take<double>(features),
                .off = call_.take<double>(features),
                .losses = loss.empty() ? nullptr : call_.take<double>(features)};
    const double* const losses = measure_.losses;
    const device_columns<T> a = standardised(a_.value);
    const device_columns<T> b = standardised(b_.value);
    if (a_.wants_gradient() || (losses != nullptr && !b_.wants_gradient())) {
      pass(a_, a, b);
      measure_.losses = nullptr;  // one pass computes the loss
    }
    if (b_.wants_gradient()) pass(b_, b, a);
    if (!loss.empty()) write_loss(call_, reduction_, {losses, nullptr}, loss);
  }

 private:
  device_columns<T> standardised(const device_matrix<const T>& x) {
    auto* mean = call_.take<double>(x.cols());
    auto* factor = call_.take<double>(x.cols());
    column_moments<T>(call_, {.x = x}, mean, factor);
    call_.launch(inverse_deviations_kernel<double>, grid_size(x.cols(), 256), 256, 0, factor,
                 x.cols(), x.rows(), options_.eps);
    return {.x = x, .mean = mean, .factor = factor};
  }

  void pass(const operand_type& x, const device_columns<T>& own, const device_columns<T>& other) {
    const feaug::detail::barlow_twins_gradient<T, memory_space::device> gradient = {
        .own = own,
        .other = other,
        .lambda = options_.lambda,
        .diagonal = measure_.diagonal,
        .off = measure_.off,
        .reduction = reduction_};
    cross_moments_pass<T>(call_.context(), call_.name(),
                          {.x = own,
                           .y = other,
                           .scale = 1.0 / static_cast<double>(own.x.rows()),
                           .strip_elements = moment_strip_elements},
                          measure_, x, gradient);
  }

  operation call_;
  operand_type a_;
  operand_type b_;
  barlow_twins_options options_;
  row_reduction<C> reduction_;
  feaug::detail::barlow_twins_measure measure_ = {};
};

}  // namespace cuda

template <element T>
struct detail::barlow_twins_call<cuda_context, T> : cuda::barlow_twins_call<T> {
  using cuda::barlow_twins_call<T>::barlow_twins_call;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
