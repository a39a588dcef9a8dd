// mean_shift, as run_loss wants it.
#pragma once

#include <string>
#include <vector>

#include "arguments.hpp"
#include "feaug/loss/mean_shift.hpp"
#include "operators/arrays.hpp"
#include "operators/operand_input.hpp"
#include "operators/queue_memory.hpp"
#include "operators/run_loss.hpp"

namespace conformance {

template <class Backend, class T>
class mean_shift_loss {
 public:
  using backend = Backend;
  using value_type = T;
  using context = typename Backend::context;
  using vector = feaug::vector_view<feaug::compute_t<T>, Backend::space>;
  using const_vector = feaug::vector_view<const feaug::compute_t<T>, Backend::space>;

  explicit mean_shift_loss(arguments& given)
      : prediction_(given, "prediction"),
        targets_(given, "targets"),
        support_(given, "support"),
        queue_(support_.input()) {
    options_.k = given.option<feaug::index_t>("k", options_.k);
    options_.reduction = read_reduction(given);
    slots_.assign(unwritten_indices(element_count({losses(), options_.k})));
  }

  [[nodiscard]] feaug::reduce reduction() const { return options_.reduction; }
  [[nodiscard]] feaug::index_t losses() const { return prediction_.input().shape[0]; }
  [[nodiscard]] bool wants_gradient() const { return prediction_.wants_gradient(); }
  void forget_gradients() { prediction_.forget_gradient(); }
  void add_gradients(results& got, const std::string& route) const {
    prediction_.add_gradient(got, route);
  }

  void forward(context& ctx, vector loss) {
    feaug::mean_shift(ctx, prediction_.value(), targets_.value(), queue_.view(), loss, options_,
                      slots());
  }
  void backward(context& ctx, const_vector cotangent) {
    feaug::mean_shift_backward(ctx, prediction_.operand(), queue_.view(), slots(), cotangent,
                               options_);
  }
  /// Among the rows of a matrix, where the other two look in a queue.
  void with_gradients(context& ctx, vector loss, const_vector row_weights) {
    feaug::mean_shift_options<T, Backend::space> options = options_;
    options.row_weights = row_weights;
    feaug::mean_shift_with_gradients(ctx, prediction_.operand(), targets_.value(), support_.value(),
                                     loss, options);
  }

 private:
  feaug::matrix_view<feaug::index_t, Backend::space> slots() {
    return {slots_.data(), losses(), options_.k};
  }

  operand_input<Backend, T> prediction_;
  operand_input<Backend, T> targets_;
  operand_input<Backend, T> support_;
  queue_memory<Backend, T> queue_;
  feaug::mean_shift_options<T, Backend::space> options_;
  typename Backend::template array<feaug::index_t> slots_{std::vector<feaug::index_t>{}};
};

}  // namespace conformance
