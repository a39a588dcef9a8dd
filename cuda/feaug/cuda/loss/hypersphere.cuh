// CUDA implementation of the hypersphere loss: alignment and uniformity of two views.
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
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/core/pointers.cuh"
#include "feaug/cuda/core/unit_backward.cuh"
#include "feaug/cuda/core/warps.cuh"
#include "feaug/cuda/loss/alignment_and_uniformity.cuh"
#include "feaug/cuda/loss/concatenated_rows.cuh"
#include "feaug/cuda/loss/row_losses.cuh"
#include "feaug/loss/alignment_and_uniformity.hpp"
#include "feaug/loss/hypersphere.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cuda::inline FEAUG_CUBLAS_NAMESPACE {

// Each row's term of the alignment, and the factor of the difference of the views in its gradient.
// One warp per row. Limited by memory bandwidth: reads 2·cols elements, writes 16 bytes. Registers:
// at most 64.
template <element T>
__global__ void __launch_bounds__(256)
    aligned_rows_kernel(concatenated_rows<T> a, concatenated_rows<T> b, double alpha, double* terms,
                        double* slopes) {
  const index_t rows = a.rows();
  const index_t cols = a.first.cols();
  const double share = 1.0 / static_cast<double>(rows);
  const int lane = static_cast<int>(threadIdx.x);
  for (index_t i = static_cast<index_t>(blockIdx.x) * blockDim.y + threadIdx.y; i < rows;
       i += static_cast<index_t>(gridDim.x) * blockDim.y) {
    double squared = 0;
    for (index_t j = lane; j < cols; j += warp_lanes) {
      const double difference = a.element(i, j) - b.element(i, j);
      squared += difference * difference;
    }
    squared = warp_sum(squared);
    if (lane != 0) continue;
    terms[i] = share * feaug::detail::distance_to_the(alpha, squared);
    slopes[i] = share * feaug::detail::slope_of_distance(alpha, squared);
  }
}

/// The gradient with respect to the unit rows of one view.
template <element T>
struct hypersphere_gradient {
  concatenated_rows<T> own;
  concatenated_rows<T> other;
  row_reduction<compute_t<T>> reduction;
  const double* alignment_slopes;
  const double* uniformity_slopes;
  const compute_t<T>* means;  ///< Σ_{j≠i} softmax_ij · unit_j

  __device__ double operator()(index_t i, index_t j) const {
    const auto mean = static_cast<double>(means[i * own.first.cols() + j]);
    const double difference = own.element(i, j) - other.element(i, j);
    return reduction.gradient_weight(0) *
           (uniformity_slopes[i] * mean + alignment_slopes[i] * difference);
  }
};

/// One call of the loss; the constructor checks the arguments. Scratch: packed copies of both
/// views, 48 bytes a row, N × D elements for gradients, and that of softmax_pass.
template <element T>
class hypersphere_call {
 public:
  using C = compute_t<T>;
  using operand_type = operand<T, 2, memory_space::device>;

  hypersphere_call(cuda_context& ctx, std::string_view op, const operand_type& a,
                   const operand_type& b, const hypersphere_options& options,
                   const feaug::detail::loss_vectors<C, memory_space::device>& vectors)
      : call_(ctx, op), a_(a), b_(b), options_(options) {
    reduction_ = feaug::detail::hypersphere_arguments(op, a, b, options, vectors);
    on_device(op, "a", a);
    on_device(op, "b", b);
    on_device(op, reduction_);
  }

  [[nodiscard]] index_t outputs() const { return reduction_.outputs(); }

  /// Writes the loss, if `loss` is not empty, and the wanted gradients.
  void run(const device_vector<C>& loss) {
    if (loss.empty() && !a_.wants_gradient() && !b_.wants_gradient()) return;
    align();
    const index_t rows = a_.value.rows();
    spread(a_, a_rows_, b_rows_, loss.empty(), terms_ + rows);
    spread(b_, b_rows_, a_rows_, loss.empty(), terms_ + rows + 1);
    if (!loss.empty()) write_loss(call_, reduction_, {terms_, nullptr}, loss);
  }

 private:
  /// Allocates and fills norms and packed rows, and computes every row's term of the alignment.
  void align() {
    const index_t rows = a_.value.rows();
    a_rows_ = concatenate_rows<T>(call_, true, a_.value);
    b_rows_ = concatenate_rows<T>(call_, true, b_.value);
    terms_ = call_.take<double>(rows + 2);
    alignment_slopes_ = call_.take<double>(rows);
    uniformity_slopes_ = call_.take<double>(rows);
    log_sum_exps_ = call_.take<double>(rows);
    if (a_.wants_gradient() || b_.wants_gradient()) means_ = call_.take<C>(rows * a_.value.cols());
    const dim3 block(warp_lanes, 8);
    call_.launch(aligned_rows_kernel<T>, grid_size(rows, block.y), block, 0, a_rows_, b_rows_,
                 options_.alpha, terms_, alignment_slopes_);
  }

  /// The uniformity of x, and the whole gradient with respect to x.
  void spread(const operand_type& x, const concatenated_rows<T>& own,
              const concatenated_rows<T>& other, bool gradient_alone, double* term) const {
    if (gradient_alone && !x.wants_gradient()) return;
    softmax_over_others(
        call_, own, options_.t,
        {.log_sum_exp = log_sum_exps_, .mean = x.wants_gradient() ? means_ : nullptr});
    write_uniformity(call_, log_sum_exps_, own.rows(), options_.t, 0.5 * options_.lam, term,
                     uniformity_slopes_);
    unit_backward(call_, x, own.inverse, default_norm_eps,
                  hypersphere_gradient<T>{own, other, reduction_, alignment_slopes_,
                                          uniformity_slopes_, means_});
  }

  operation call_;
  operand_type a_;
  operand_type b_;
  hypersphere_options options_;
  row_reduction<C> reduction_;
  concatenated_rows<T> a_rows_;
  concatenated_rows<T> b_rows_;
  double* terms_ = nullptr;  // terms of the loss: N of the alignment, 2 of the uniformity
  double* alignment_slopes_ = nullptr;
  double* uniformity_slopes_ = nullptr;  // this and the next two: of one view at a time
  double* log_sum_exps_ = nullptr;
  C* means_ = nullptr;
};

}  // namespace cuda

template <element T>
struct detail::hypersphere_call<cuda_context, T> : cuda::hypersphere_call<T> {
  using cuda::hypersphere_call<T>::hypersphere_call;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
