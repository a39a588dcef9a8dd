// CPU implementation of swapped_assignment: each view predicts the other view's balanced assignment
// to prototypes (SwAV).
#pragma once

#include "feaug/header_begin.hpp"

#include <string_view>

#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/loss/assignment.hpp"
#include "feaug/cpu/loss/row_loss.hpp"
#include "feaug/loss/assignment.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/row_reduction.hpp"
#include "feaug/loss/swapped_assignment.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cpu {

/// One call of the loss; the constructor checks the arguments. Scratch: 24 bytes per row, 16 per
/// prototype, 32 per prototype and thread.
template <element T>
class swapped_assignment_call {
 public:
  using C = compute_t<T>;

  swapped_assignment_call(cpu_context& ctx, std::string_view op, const operand<T>& scores_a,
                          const operand<T>& scores_b, const swapped_assignment_options<T>& options,
                          const feaug::detail::loss_vectors<C>& vectors)
      : ctx_(ctx), scratch_(ctx.workspace), views_{scores_a, scores_b}, options_(options) {
    reduction_ =
        feaug::detail::swapped_assignment_arguments(op, scores_a, scores_b, options, vectors);
  }

  [[nodiscard]] index_t outputs() const { return reduction_.outputs(); }
  [[nodiscard]] index_t prototypes() const { return views_[0].value.cols(); }

  void forward(vector_view<C> loss, vector_view<double> statistics) {
    forward_and_backward(loss);
    for (index_t j = 0; j < statistics.size(); ++j) statistics[j] = potentials_[j];
  }
  void forward_and_backward(vector_view<C> loss) {
    balance();
    run(loss);
  }
  void backward(vector_view<const double> statistics) {
    potentials_ = statistics;
    run({});
  }

 private:
  /// Computes the potentials of both views.
  void balance() {
    auto* const found = scratch_.template take<double>(2 * prototypes());
    for (int view = 0; view < 2; ++view) {
      sinkhorn_iterations<T>(
          ctx_,
          {.first = views_[view].value,
           .second = view == 0 ? options_.extra_scores_a : options_.extra_scores_b},
          prototypes(), options_.epsilon, options_.iterations, found + view * prototypes());
    }
    potentials_ = {found, 2 * prototypes()};
  }

  /// Each view against the other's assignments. A direction whose loss and gradient are not wanted
  /// is skipped.
  void run(vector_view<C> loss) {
    const index_t rows = reduction_.rows;
    auto* const losses = scratch_.template take<double>(2 * rows);
    for (int view = 0; view < 2; ++view) {
      if (loss.empty() && !views_[view].wants_gradient()) continue;
      const assignment_direction<T> direction = {.scores = views_[view],
                                                 .target = assignments_of(1 - view),
                                                 .temperature = options_.temperature,
                                                 .reduction = reduction_,
                                                 .factor = 0.5};
      direction.run(ctx_, losses + view * rows);
    }
    if (loss.empty()) return;
    for (index_t i = 0; i < rows; ++i) losses[i] = 0.5 * (losses[i] + losses[rows + i]);
    write_loss(reduction_, losses, loss);
  }

  [[nodiscard]] assignment_target<T> assignments_of(int view) const {
    vector_view<const double> own = potentials_;
    own.data += view * prototypes() * own.strides[0];
    own.extents[0] = prototypes();
    return {.scores = views_[view].value,
            .potentials = own,
            .epsilon = options_.epsilon,
            .iterations = options_.iterations};
  }

  cpu_context& ctx_;
  workspace::scope scratch_;
  operand<T> views_[2];
  swapped_assignment_options<T> options_;
  feaug::detail::row_reduction<C> reduction_;
  vector_view<const double> potentials_;  // view a's, then b's
};

}  // namespace cpu

template <element T>
struct detail::swapped_assignment_call<cpu_context, T> : cpu::swapped_assignment_call<T> {
  using cpu::swapped_assignment_call<T>::swapped_assignment_call;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
