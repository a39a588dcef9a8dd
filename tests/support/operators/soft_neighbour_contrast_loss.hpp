// soft_neighbour_contrast: the attention can be a separate input.
#pragma once

#include "feaug/loss/soft_neighbour_contrast.hpp"
#include "support/operators/loss_adapter.hpp"

namespace conformance {

template <class Backend, class T>
class soft_neighbour_contrast_loss
    : public loss_adapter<Backend, T, feaug::soft_neighbour_contrast_options<T, Backend::space>> {
  using base = loss_adapter<Backend, T, feaug::soft_neighbour_contrast_options<T, Backend::space>>;

 public:
  using typename base::const_vector;
  using typename base::context;
  using typename base::vector;

  explicit soft_neighbour_contrast_loss(arguments& given)
      : base(given),
        queries_(base::operand(given, "queries")),
        keys_(base::constant(given, "keys")),
        neighbours_(base::constant(given, "neighbours")),
        attention_(given.has("attention") ? &base::operand(given, "attention") : nullptr) {
    auto& options = this->options_;
    options.label_temperature = given.option("label_temperature", options.label_temperature);
    options.neighbour_weight = given.option("neighbour_weight", options.neighbour_weight);
  }

  void forward(context& ctx, vector loss) {
    feaug::soft_neighbour_contrast(ctx, queries_.value(), keys_.value(), neighbours_.value(), loss,
                                   options());
  }
  void backward(context& ctx, const_vector cotangent) {
    feaug::soft_neighbour_contrast_backward(ctx, queries_.operand(), keys_.value(),
                                            neighbours_.value(), cotangent, options());
  }
  void with_gradients(context& ctx, vector loss) {
    feaug::soft_neighbour_contrast_with_gradients(ctx, queries_.operand(), keys_.value(),
                                                  neighbours_.value(), loss, options());
  }

 private:
  feaug::soft_neighbour_contrast_options<T, Backend::space> options() {
    auto all = base::options();
    if (attention_ != nullptr) all.attention = attention_->operand();
    return all;
  }

  operand_input<Backend, T>& queries_;
  operand_input<Backend, T>& keys_;
  operand_input<Backend, T>& neighbours_;
  operand_input<Backend, T>* attention_;
};

}  // namespace conformance
