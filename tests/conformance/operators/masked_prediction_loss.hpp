// masked_prediction, as run_loss wants it: the mask is an input.
#pragma once

#include "feaug/augment/mask.hpp"
#include "feaug/loss/masked_prediction.hpp"
#include "operators/paired_loss.hpp"

namespace conformance {

template <class Backend, class T>
class masked_prediction_loss
    : public paired_loss<Backend, T, feaug::masked_prediction_options<T, Backend::space>> {
  using base = paired_loss<Backend, T, feaug::masked_prediction_options<T, Backend::space>>;
  using base::first_;
  using base::options_;
  using base::second_;

 public:
  using typename base::const_vector;
  using typename base::context;
  using typename base::vector;

  explicit masked_prediction_loss(arguments& given)
      : base(given, "prediction", "target"), keep_(given, "keep") {
    options_.form =
        given.choice<feaug::prediction_form>("form", "smooth_l1",
                                             {{"smooth_l1", feaug::prediction_form::smooth_l1},
                                              {"squared", feaug::prediction_form::squared},
                                              {"cosine", feaug::prediction_form::cosine}});
    options_.beta = given.option("beta", options_.beta);
  }

  void forward(context& ctx, vector loss) {
    feaug::masked_prediction(ctx, first_.value(), second_.value(), mask(), {}, loss, options_);
  }
  void backward(context& ctx, const_vector cotangent) {
    feaug::masked_prediction_backward(ctx, first_.operand(), second_.operand(), mask(), {},
                                      cotangent, options_);
  }
  void with_gradients(context& ctx, vector loss, const_vector row_weights) {
    feaug::masked_prediction_with_gradients(ctx, first_.operand(), second_.operand(), mask(), {},
                                            loss, this->weighted(row_weights));
  }

 private:
  [[nodiscard]] auto mask() { return feaug::drawn_mask(keep_.value()); }

  operand_input<Backend, T> keep_;
};

}  // namespace conformance
