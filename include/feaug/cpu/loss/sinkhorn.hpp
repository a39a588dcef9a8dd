// CPU implementation of sinkhorn: turns scores into assignments that use all prototypes equally.
#pragma once

#include "feaug/header_begin.hpp"

#include <string_view>

#include "feaug/core/element.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/parallel.hpp"
#include "feaug/cpu/loss/assignment.hpp"
#include "feaug/loss/assignment.hpp"
#include "feaug/loss/sinkhorn.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cpu {

/// One call of sinkhorn or sinkhorn_potentials; the constructor checks the arguments. Scratch: 8
/// bytes per row and per prototype, and 16 per prototype and thread.
template <element T>
class sinkhorn_call {
 public:
  using C = compute_t<T>;

  sinkhorn_call(cpu_context& ctx, std::string_view op, const matrix_view<const T>& scores,
                const sinkhorn_options<T>& options)
      : ctx_(ctx), scratch_(ctx.workspace), scores_(scores), options_(options) {
    check::sinkhorn_inputs(op, scores, options);
  }

  void write_assignments(const matrix_view<T>& out) {
    const index_t cols = scores_.cols();
    const vector_view<const double> potentials = iterate();
    const row_softmaxes<C> softmaxes(ctx_, scratch_, cols);
    for_each_row_block(ctx_, scores_.rows(), cols, [&](index_t begin, index_t count, int worker) {
      row_softmax<C>& row = softmaxes.of(worker);
      for (index_t i = begin; i < begin + count; ++i) {
        row.take(
            feaug::detail::row_exponents<T, memory_space::host>{scores_.row(i),
                                                                1.0 / options_.epsilon, potentials},
            cols);
        const auto factor = static_cast<C>(row.factor(options_.iterations > 0));
        for (index_t j = 0; j < cols; ++j) out(i, j) = store<T>(row.weights[j] * factor);
      }
    });
  }

  void write_potentials(const vector_view<double>& potentials) {
    const vector_view<const double> found = iterate();
    for (index_t j = 0; j < found.size(); ++j) potentials[j] = found[j];
  }

 private:
  vector_view<const double> iterate() {
    const index_t cols = scores_.cols();
    auto* const potentials = scratch_.template take<double>(cols);
    sinkhorn_iterations<T>(ctx_, {.first = scores_, .second = options_.extra_scores}, cols,
                           options_.epsilon, options_.iterations, potentials);
    return {potentials, cols};
  }

  cpu_context& ctx_;
  workspace::scope scratch_;
  matrix_view<const T> scores_;
  sinkhorn_options<T> options_;
};

}  // namespace cpu

template <element T>
struct detail::sinkhorn_call<cpu_context, T> : cpu::sinkhorn_call<T> {
  using cpu::sinkhorn_call<T>::sinkhorn_call;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
