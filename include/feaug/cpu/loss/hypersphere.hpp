// CPU implementation of the hypersphere loss: alignment and uniformity of two views.
#pragma once

#include "feaug/header_begin.hpp"

#include <string_view>

#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/parallel.hpp"
#include "feaug/cpu/core/workspace.hpp"
#include "feaug/cpu/loss/alignment_and_uniformity.hpp"
#include "feaug/cpu/loss/concatenated_rows.hpp"
#include "feaug/cpu/loss/contrast.hpp"
#include "feaug/cpu/loss/row_loss.hpp"
#include "feaug/loss/alignment_and_uniformity.hpp"
#include "feaug/loss/hypersphere.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/row_reduction.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cpu {

/// One call of the loss; the constructor checks the arguments. Scratch memory: 40 bytes per row,
/// that of softmax_pass, and N × D numbers for gradients. Most of the time is spent in
/// softmax_pass, over each view's N × N logits.
template <element T>
class hypersphere_call {
 public:
  using C = compute_t<T>;

  hypersphere_call(cpu_context& ctx, std::string_view op, const operand<T>& a, const operand<T>& b,
                   const hypersphere_options& options,
                   const feaug::detail::loss_vectors<C>& vectors)
      : ctx_(ctx), scratch_(ctx.workspace), a_(a), b_(b), options_(options) {
    reduction_ = feaug::detail::hypersphere_arguments(op, a, b, options, vectors);
  }

  [[nodiscard]] index_t outputs() const { return reduction_.outputs(); }

  /// Writes the loss, unless `loss` is empty, and the gradients that are wanted.
  void run(vector_view<C> loss) {
    if (loss.empty() && !a_.wants_gradient() && !b_.wants_gradient()) return;
    align();
    const index_t rows = a_.value.rows();
    terms_[rows] = spread(a_, a_rows_, b_rows_, !loss.empty());
    terms_[rows + 1] = spread(b_, b_rows_, a_rows_, !loss.empty());
    if (!loss.empty()) write_loss(reduction_, terms_, loss);
  }

 private:
  /// Computes norms, and every row's term of the alignment.
  void align() {
    const index_t rows = a_.value.rows();
    const index_t cols = a_.value.cols();
    const double share = 1.0 / static_cast<double>(rows);
    a_rows_ = concatenate_rows<T>(ctx_, scratch_, true, a_.value);
    b_rows_ = concatenate_rows<T>(ctx_, scratch_, true, b_.value);
    terms_ = scratch_.template take<double>(rows + 2);
    slopes_ = scratch_.template take<double>(rows);
    for_each_row_block(ctx_, rows, cols, [&](index_t begin, index_t count, int) {
      for (index_t i = begin; i < begin + count; ++i) {
        const double squared = squared_distance(a_rows_.row(i), a_rows_.factor(i), b_rows_.row(i),
                                                b_rows_.factor(i), cols);
        terms_[i] = share * feaug::detail::distance_to_the(options_.alpha, squared);
        slopes_[i] = share * feaug::detail::slope_of_distance(options_.alpha, squared);
      }
    });
  }

  /// Returns x's part of the uniformity and writes the whole gradient with respect to x; 0 if
  /// neither is wanted.
  double spread(const operand<T>& x, const concatenated_rows<T>& stack,
                const concatenated_rows<T>& other, bool with_loss) {
    if (!with_loss && !x.wants_gradient()) return 0;
    const index_t rows = x.value.rows();
    const index_t cols = x.value.cols();
    const double weight = 0.5 * options_.lam;
    workspace::scope scratch(ctx_.workspace);
    auto* const log_sum_exps = scratch.template take<double>(rows);
    C* const means = x.wants_gradient() ? scratch.template take<C>(rows * cols) : nullptr;
    const feaug::detail::pair_sum all =
        sum_over_pairs(ctx_, stack, options_.t, log_sum_exps, means);
    if (means != nullptr) {
      for_each_row_block(ctx_, rows, cols, [&](index_t begin, index_t count, int) {
        for (index_t i = begin; i < begin + count; ++i) {
          C* const gradient = means + i * cols;
          add_alignment(stack, other, i, weight * all.slope(options_.t, log_sum_exps[i]), gradient);
          normalize_backward_and_store(x, stack, i, i, reduction_.gradient_weight(0), gradient);
        }
      });
    }
    return weight * all.uniformity(options_.t, rows);
  }

  /// gradient = factor · gradient + slope_i · (unit_i − the other view's unit_i).
  void add_alignment(const concatenated_rows<T>& stack, const concatenated_rows<T>& other,
                     index_t i, double factor, C* gradient) const {
    const T* const own = stack.row(i);
    const T* const others = other.row(i);
    for (index_t d = 0; d < stack.first.cols(); ++d) {
      const double difference = static_cast<double>(load(own[d])) * stack.factor(i) -
                                static_cast<double>(load(others[d])) * other.factor(i);
      gradient[d] =
          static_cast<C>(factor * static_cast<double>(gradient[d]) + slopes_[i] * difference);
    }
  }

  cpu_context& ctx_;
  workspace::scope scratch_;
  operand<T> a_;
  operand<T> b_;
  hypersphere_options options_;
  feaug::detail::row_reduction<C> reduction_;
  concatenated_rows<T> a_rows_;
  concatenated_rows<T> b_rows_;
  double* terms_ = nullptr;  // terms of the loss: N of the alignment, two of the uniformity
  double* slopes_ = nullptr;
};

}  // namespace cpu

template <element T>
struct detail::hypersphere_call<cpu_context, T> : cpu::hypersphere_call<T> {
  using cpu::hypersphere_call<T>::hypersphere_call;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
