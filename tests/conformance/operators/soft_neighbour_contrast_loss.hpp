// soft_neighbour_contrast, as run_loss wants it.
#pragma once

#include <optional>
#include <string>

#include "arguments.hpp"
#include "feaug/loss/soft_neighbour_contrast.hpp"
#include "operators/operand_input.hpp"
#include "operators/run_loss.hpp"

namespace conformance {

template <class Backend, class T>
class soft_neighbour_contrast_loss {
 public:
  using backend = Backend;
  using value_type = T;
  using context = typename Backend::context;
  using vector = feaug::vector_view<feaug::compute_t<T>, Backend::space>;
  using const_vector = feaug::vector_view<const feaug::compute_t<T>, Backend::space>;

  explicit soft_neighbour_contrast_loss(arguments& given)
      : queries_(given, "queries"), keys_(given, "keys"), neighbours_(given, "neighbours") {
    options_.temperature = given.option("temperature", options_.temperature);
    options_.label_temperature = given.option("label_temperature", options_.label_temperature);
    options_.neighbour_weight = given.option("neighbour_weight", options_.neighbour_weight);
    options_.normalize = given.option("normalize", true);
    options_.reduction = read_reduction(given);
    if (given.has("attention")) attention_.emplace(given, "attention");
  }

  [[nodiscard]] feaug::reduce reduction() const { return options_.reduction; }
  [[nodiscard]] feaug::index_t losses() const { return queries_.input().shape[0]; }
  [[nodiscard]] bool wants_gradient() const {
    return queries_.wants_gradient() || (attention_ && attention_->wants_gradient());
  }
  void forget_gradients() {
    queries_.forget_gradient();
    if (attention_) attention_->forget_gradient();
  }
  void add_gradients(results& got, const std::string& route) const {
    queries_.add_gradient(got, route);
    if (attention_) attention_->add_gradient(got, route);
  }

  void forward(context& ctx, vector loss) {
    feaug::soft_neighbour_contrast(ctx, queries_.value(), keys_.value(), neighbours_.value(), loss,
                                   options());
  }
  void backward(context& ctx, const_vector cotangent) {
    feaug::soft_neighbour_contrast_backward(ctx, queries_.operand(), keys_.value(),
                                            neighbours_.value(), cotangent, options());
  }
  void with_gradients(context& ctx, vector loss, const_vector row_weights) {
    feaug::soft_neighbour_contrast_with_gradients(ctx, queries_.operand(), keys_.value(),
                                                  neighbours_.value(), loss, options(row_weights));
  }

 private:
  using options_type = feaug::soft_neighbour_contrast_options<T, Backend::space>;

  /// Made for each call: destinations move when they are filled with NaN again.
  options_type options(const const_vector& row_weights = {}) {
    options_type all = options_;
    all.row_weights = row_weights;
    if (attention_) all.attention = attention_->operand();
    return all;
  }

  operand_input<Backend, T> queries_;
  operand_input<Backend, T> keys_;
  operand_input<Backend, T> neighbours_;
  std::optional<operand_input<Backend, T>> attention_;
  options_type options_;
};

}  // namespace conformance
