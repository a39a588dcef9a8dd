// negative_cosine, as run_loss wants it.
#pragma once

#include <string>

#include "arguments.hpp"
#include "feaug/loss/negative_cosine.hpp"
#include "operators/operand_input.hpp"
#include "operators/run_loss.hpp"

namespace conformance {

template <class Backend, class T>
class negative_cosine_loss {
 public:
  using backend = Backend;
  using value_type = T;
  using context = typename Backend::context;
  using vector = feaug::vector_view<feaug::compute_t<T>, Backend::space>;
  using const_vector = feaug::vector_view<const feaug::compute_t<T>, Backend::space>;

  explicit negative_cosine_loss(arguments& given)
      : prediction_(given, "prediction"), target_(given, "target") {
    options_.reduction = read_reduction(given);
    options_.form = given.choice<feaug::cosine_form>(
        "form", "byol",
        {{"byol", feaug::cosine_form::byol}, {"simsiam", feaug::cosine_form::simsiam}});
  }

  [[nodiscard]] feaug::reduce reduction() const { return options_.reduction; }
  [[nodiscard]] feaug::index_t losses() const { return prediction_.input().shape[0]; }
  [[nodiscard]] bool wants_gradient() const {
    return prediction_.wants_gradient() || target_.wants_gradient();
  }
  void forget_gradients() {
    prediction_.forget_gradient();
    target_.forget_gradient();
  }
  void add_gradients(results& got, const std::string& route) const {
    prediction_.add_gradient(got, route);
    target_.add_gradient(got, route);
  }

  void forward(context& ctx, vector loss) {
    feaug::negative_cosine(ctx, prediction_.value(), target_.value(), loss, options_);
  }
  void backward(context& ctx, const_vector cotangent) {
    feaug::negative_cosine_backward(ctx, prediction_.operand(), target_.operand(), cotangent,
                                    options_);
  }
  void with_gradients(context& ctx, vector loss, const_vector row_weights) {
    feaug::negative_cosine_options<T> options = options_;
    options.row_weights = row_weights;
    feaug::negative_cosine_with_gradients(ctx, prediction_.operand(), target_.operand(), loss,
                                          options);
  }

 private:
  operand_input<Backend, T> prediction_;
  operand_input<Backend, T> target_;
  feaug::negative_cosine_options<T> options_;
};

}  // namespace conformance
