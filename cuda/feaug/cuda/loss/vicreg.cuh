// CUDA implementation of vicreg: the VICReg loss of variance, invariance and covariance.
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
#include "feaug/cuda/core/pointers.cuh"
#include "feaug/cuda/loss/cross_moments.cuh"
#include "feaug/cuda/loss/row_losses.cuh"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/vicreg.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cuda::inline FEAUG_CUBLAS_NAMESPACE {

/// One call of the loss; the constructor checks the arguments. Scratch: 32 bytes a feature and that
/// of cross_moments_pass.
template <element T>
class vicreg_call {
 public:
  using C = compute_t<T>;
  using operand_type = operand<T, 2, memory_space::device>;

  vicreg_call(cuda_context& ctx, std::string_view op, const operand_type& a, const operand_type& b,
              const vicreg_options& options,
              const feaug::detail::loss_vectors<C, memory_space::device>& vectors)
      : call_(ctx, op), a_(a), b_(b), options_(options) {
    reduction_ = feaug::detail::vicreg_arguments(op, a, b, options, vectors);
    on_device(op, "a", a);
    on_device(op, "b", b);
    on_device(op, reduction_);
  }

  [[nodiscard]] index_t outputs() const { return reduction_.outputs(); }

  /// Writes the loss, if `loss` is not empty, and the wanted gradients.
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
  /// The variance and covariance terms of one view.
  void view(const operand_type& x, const device_matrix<const T>& other) {
    if (losses_ == nullptr && !x.wants_gradient()) return;
    const index_t rows = x.value.rows();
    const index_t features = x.value.cols();
    operation part(call_.context(), call_.name());
    auto* mean = part.take<double>(features);
    auto* squares = part.take<double>(features);
    auto* variance_slope = part.take<double>(features);
    column_moments<T>(part, {.x = x.value}, mean, squares);
    const device_columns<T> centred = {.x = x.value, .mean = mean};
    const feaug::detail::vicreg_measure measure = {.options = options_,
                                                   .rows = rows,
                                                   .features = features,
                                                   .squares = squares,
                                                   .variance_slope = variance_slope,
                                                   .losses = losses_};
    const feaug::detail::vicreg_gradient<T, memory_space::device> gradient = {
        .own = centred,
        .other = other,
        .options = options_,
        .variance_slope = variance_slope,
        .reduction = reduction_};
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

template <element T>
struct detail::vicreg_call<cuda_context, T> : cuda::vicreg_call<T> {
  using cuda::vicreg_call<T>::vicreg_call;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
