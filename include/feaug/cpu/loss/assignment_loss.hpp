// CPU implementation of assignment_loss: cross-entropy of predictions against assignments, SwAV's
// loss for a pair of crops.
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
#include "feaug/loss/assignment_loss.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cpu {

/// One call of the loss; the constructor checks the arguments. Scratch: 8 bytes per row, 32 per
/// prototype and thread.
template <element T>
class assignment_loss_call {
 public:
  using C = compute_t<T>;

  assignment_loss_call(cpu_context& ctx, std::string_view op, const operand<T>& scores,
                       const assignment_target<T>& target,
                       const assignment_loss_options<T>& options,
                       const feaug::detail::loss_vectors<C>& vectors)
      : ctx_(ctx),
        direction_{.scores = scores,
                   .target = target,
                   .temperature = options.temperature,
                   .reduction = feaug::detail::assignment_loss_arguments(op, scores, target,
                                                                         options, vectors)} {}

  [[nodiscard]] index_t outputs() const { return direction_.reduction.outputs(); }

  void run(vector_view<C> loss) {
    if (loss.empty() && !direction_.scores.wants_gradient()) return;
    workspace::scope scratch(ctx_.workspace);
    auto* const row_losses = scratch.take<double>(direction_.reduction.rows);
    direction_.run(ctx_, row_losses);
    if (!loss.empty()) write_loss(direction_.reduction, row_losses, loss);
  }

 private:
  cpu_context& ctx_;
  assignment_direction<T> direction_;
};

}  // namespace cpu

template <element T>
struct detail::assignment_loss_call<cpu_context, T> : cpu::assignment_loss_call<T> {
  using cpu::assignment_loss_call<T>::assignment_loss_call;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
