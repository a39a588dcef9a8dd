// CPU implementation of mean_shift: pulls a prediction to the nearest neighbours of its target.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <limits>
#include <string_view>

#include "feaug/core/element.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/l2_norm.hpp"
#include "feaug/cpu/core/rows.hpp"
#include "feaug/cpu/loss/row_loss.hpp"
#include "feaug/cpu/queue/compare_neighbours.hpp"
#include "feaug/cpu/queue/support_rows.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/mean_shift.hpp"
#include "feaug/loss/row_reduction.hpp"
#include "feaug/queue/support_rows.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cpu {

/// One call of the loss; the constructor checks the arguments. Scratch: 8 bytes per row, 1 MiB of
/// slots, D + 3·k numbers per thread, and that of nearest.
template <element T>
class mean_shift_call {
 public:
  using C = compute_t<T>;
  using neighbours_type = feaug::detail::mean_shift_neighbours<T, memory_space::host>;

  mean_shift_call(cpu_context& ctx, std::string_view op, const operand<T>& prediction,
                  const support_rows<T>& support, const neighbours_type& neighbours,
                  const mean_shift_options<T>& options,
                  const feaug::detail::loss_vectors<C>& vectors)
      : ctx_(ctx),
        prediction_(prediction),
        support_(support),
        neighbours_(neighbours),
        options_(options) {
    reduction_ =
        feaug::detail::mean_shift_arguments(op, prediction, support, neighbours, options, vectors);
  }

  [[nodiscard]] index_t outputs() const { return reduction_.outputs(); }

  void run(vector_view<C> loss) {
    if (loss.empty() && !prediction_.wants_gradient()) return;
    const index_t k = options_.k;
    const index_t cols = prediction_.value.cols();
    const matrix_view<index_t>& indices = neighbours_.indices;
    workspace::scope scratch(ctx_.workspace);
    const row_buffers<compared_neighbour> found(ctx_, scratch, k);
    const row_buffers<C> gradients(ctx_, scratch, cols);
    auto* const row_losses = scratch.take<double>(reduction_.rows);
    for_each_found<T>(
        ctx_, support_, neighbours_.targets, options_.exclude_ids, k, neighbours_.found,
        [&](index_t first, const matrix_view<const index_t>& slots) {
          for_each_row(ctx_, slots.rows(), (k + 1) * cols, {}, [&](index_t r, int worker) {
            const index_t i = first + r;
            if (indices.data != nullptr) std::copy_n(slots.row(r), k, indices.row(i));
            row_losses[i] = row(i, slots.row(r), found.of(worker), gradients.of(worker));
          });
        });
    if (!loss.empty()) write_loss(reduction_, row_losses, loss);
  }

 private:
  double row(index_t i, const index_t* slots, compared_neighbour* found, C* gradient) const {
    const index_t cols = prediction_.value.cols();
    const T* p = prediction_.value.row(i);
    const double inverse = inverse_norm(row_norm(p, cols), default_norm_eps);
    const index_t count =
        compare_neighbours<T>(p, inverse, support_.rows(), slots, options_.k, found);
    // Without neighbours (a target with NaN finds none) the mean is 0/0, NaN.
    const double share =
        count == 0 ? std::numeric_limits<double>::quiet_NaN() : 1.0 / static_cast<double>(count);
    double cosine = 0;
    for (index_t n = 0; n < count; ++n) cosine += found[n].similarity;
    if (prediction_.wants_gradient()) {
      const double weight = -2.0 * share * reduction_.gradient_weight(i);
      for (index_t j = 0; j < cols; ++j) {
        gradient[j] = static_cast<C>(weight * neighbour_sum<T>(support_.rows(), found, count, j));
      }
      unit_backward_row(usable(ctx_.instructions), p, cols, inverse, default_norm_eps, gradient);
      if (count == 0) std::fill_n(gradient, cols, static_cast<C>(share));
      write_gradient(usable(ctx_.instructions), prediction_, i, gradient);
    }
    return 2.0 - 2.0 * cosine * share;
  }

  cpu_context& ctx_;
  operand<T> prediction_;
  support_rows<T> support_;
  neighbours_type neighbours_;
  mean_shift_options<T> options_;
  feaug::detail::row_reduction<C> reduction_;
};

}  // namespace cpu

template <element T>
struct detail::mean_shift_call<cpu_context, T> : cpu::mean_shift_call<T> {
  using cpu::mean_shift_call<T>::mean_shift_call;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
