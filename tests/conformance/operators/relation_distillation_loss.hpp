// relation_distillation, as run_loss wants it.
#pragma once

#include <string>

#include "arguments.hpp"
#include "feaug/loss/relation_distillation.hpp"
#include "operators/operand_input.hpp"
#include "operators/queue_memory.hpp"
#include "operators/run_loss.hpp"

namespace conformance {

template <class Backend, class T>
class relation_distillation_loss {
 public:
  using backend = Backend;
  using value_type = T;
  using context = typename Backend::context;
  using vector = feaug::vector_view<feaug::compute_t<T>, Backend::space>;
  using const_vector = feaug::vector_view<const feaug::compute_t<T>, Backend::space>;

  explicit relation_distillation_loss(arguments& given)
      : queries_(given, "queries"),
        keys_(given, "keys"),
        support_(given, "support"),
        queue_(support_.input()) {
    options_.temperature = given.option("temperature", options_.temperature);
    options_.teacher_temperature =
        given.option("teacher_temperature", options_.teacher_temperature);
    options_.normalize = given.option("normalize", true);
    options_.reduction = read_reduction(given);
  }

  [[nodiscard]] feaug::reduce reduction() const { return options_.reduction; }
  [[nodiscard]] feaug::index_t losses() const { return queries_.input().shape[0]; }
  [[nodiscard]] bool wants_gradient() const { return queries_.wants_gradient(); }
  void forget_gradients() { queries_.forget_gradient(); }
  void add_gradients(results& got, const std::string& route) const {
    queries_.add_gradient(got, route);
  }

  void forward(context& ctx, vector loss) {
    feaug::relation_distillation(ctx, queries_.value(), keys_.value(), queue_.view(), loss,
                                 options_);
  }
  void backward(context& ctx, const_vector cotangent) {
    feaug::relation_distillation_backward(ctx, queries_.operand(), keys_.value(), queue_.view(),
                                          cotangent, options_);
  }
  /// Against the rows of a matrix, where the other two take those of a queue.
  void with_gradients(context& ctx, vector loss, const_vector row_weights) {
    feaug::relation_distillation_options<T, Backend::space> options = options_;
    options.row_weights = row_weights;
    feaug::relation_distillation_with_gradients(ctx, queries_.operand(), keys_.value(),
                                                support_.value(), loss, options);
  }

 private:
  operand_input<Backend, T> queries_;
  operand_input<Backend, T> keys_;
  operand_input<Backend, T> support_;
  queue_memory<Backend, T> queue_;
  feaug::relation_distillation_options<T, Backend::space> options_;
};

}  // namespace conformance
