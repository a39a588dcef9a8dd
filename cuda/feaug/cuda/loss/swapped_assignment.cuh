// CUDA implementation of swapped_assignment: each view predicts the other view's balanced
// assignment to prototypes (SwAV).
#pragma once

#include "feaug/header_begin.hpp"

#include <string_view>

#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/pointers.cuh"
#include "feaug/cuda/core/vectors.cuh"
#include "feaug/cuda/loss/assignment_loss.cuh"
#include "feaug/cuda/loss/row_losses.cuh"
#include "feaug/cuda/loss/sinkhorn.cuh"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/swapped_assignment.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

template <element T>
using device_swapped_assignment_options = swapped_assignment_options<T, memory_space::device>;

namespace cuda::inline FEAUG_CUBLAS_NAMESPACE {

/// One call of the loss; the constructor checks the arguments. Scratch: 32 bytes a row, 16 a
/// prototype.
template <element T>
class swapped_assignment_call {
 public:
  using C = compute_t<T>;
  using operand_type = operand<T, 2, memory_space::device>;

  swapped_assignment_call(cuda_context& ctx, std::string_view op, const operand_type& scores_a,
                          const operand_type& scores_b,
                          const device_swapped_assignment_options<T>& options,
                          const feaug::detail::loss_vectors<C, memory_space::device>& vectors)
      : call_(ctx, op), views_{scores_a, scores_b}, options_(options) {
    reduction_ = feaug::detail::swapped_assignment_arguments<T, memory_space::device>(
        op, scores_a, scores_b, options, vectors);
    on_device(op, "scores_a", scores_a);
    on_device(op, "scores_b", scores_b);
    on_device(op, "extra_scores_a", options.extra_scores_a);
    on_device(op, "extra_scores_b", options.extra_scores_b);
    on_device(op, reduction_);
  }

  [[nodiscard]] index_t outputs() const { return reduction_.outputs(); }
  [[nodiscard]] index_t prototypes() const { return views_[0].value.cols(); }

  void forward(const device_vector<C>& loss, const device_vector<double>& statistics) {
    forward_and_backward(loss);
    copy_vector(call_, potentials_, statistics);
  }
  void forward_and_backward(const device_vector<C>& loss) {
    balance();
    run(loss);
  }
  void backward(const device_vector<const double>& statistics) {
    potentials_ = statistics;
    run({});
  }

 private:
  /// The potentials of both views.
  void balance() {
    auto* const found = call_.take<double>(2 * prototypes());
    for (int view = 0; view < 2; ++view) {
      sinkhorn_iterations<T>(
          call_,
          {views_[view].value, view == 0 ? options_.extra_scores_a : options_.extra_scores_b},
          options_.epsilon, options_.iterations, found + view * prototypes());
    }
    potentials_ = {found, 2 * prototypes()};
  }

  /// Each view against the other's assignments. A direction without a wanted output is skipped.
  void run(const device_vector<C>& loss) {
    const index_t rows = reduction_.rows;
    auto* const losses = loss.empty() ? nullptr : call_.take<double>(2 * rows);
    for (int view = 0; view < 2; ++view) {
      if (loss.empty() && !views_[view].wants_gradient()) continue;
      const assignment_direction<T> direction = {.scores = views_[view],
                                                 .target = assignments_of(1 - view),
                                                 .temperature = options_.temperature,
                                                 .reduction = reduction_,
                                                 .factor = 0.5};
      cuda::run(call_, direction, loss.empty() ? nullptr : losses + view * rows);
    }
    if (!loss.empty()) write_loss(call_, reduction_, {losses, losses + rows}, loss);
  }

  [[nodiscard]] device_assignment_target<T> assignments_of(int view) const {
    device_vector<const double> own = potentials_;
    own.data += view * prototypes() * own.strides[0];
    own.extents[0] = prototypes();
    return {.scores = views_[view].value,
            .potentials = own,
            .epsilon = options_.epsilon,
            .iterations = options_.iterations};
  }

  operation call_;
  operand_type views_[2];
  device_swapped_assignment_options<T> options_;
  row_reduction<C> reduction_;
  device_vector<const double> potentials_;  // view a's, then b's
};

}  // namespace cuda

template <element T>
struct detail::swapped_assignment_call<cuda_context, T> : cuda::swapped_assignment_call<T> {
  using cuda::swapped_assignment_call<T>::swapped_assignment_call;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
