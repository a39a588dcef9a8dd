// negative_cosine, as run_loss wants it.
#pragma once

#include "feaug/loss/negative_cosine.hpp"
#include "operators/paired_loss.hpp"

namespace conformance {

template <class Backend, class T>
class negative_cosine_loss
    : public paired_loss<Backend, T, feaug::negative_cosine_options<T, Backend::space>> {
  using base = paired_loss<Backend, T, feaug::negative_cosine_options<T, Backend::space>>;
  using base::first_;
  using base::options_;
  using base::second_;

 public:
  using typename base::const_vector;
  using typename base::context;
  using typename base::vector;

  explicit negative_cosine_loss(arguments& given) : base(given, "prediction", "target") {
    options_.form = given.choice<feaug::cosine_form>(
        "form", "byol",
        {{"byol", feaug::cosine_form::byol}, {"simsiam", feaug::cosine_form::simsiam}});
  }

  void forward(context& ctx, vector loss) {
    feaug::negative_cosine(ctx, first_.value(), second_.value(), loss, options_);
  }
  void backward(context& ctx, const_vector cotangent) {
    feaug::negative_cosine_backward(ctx, first_.operand(), second_.operand(), cotangent, options_);
  }
  void with_gradients(context& ctx, vector loss, const_vector row_weights) {
    feaug::negative_cosine_with_gradients(ctx, first_.operand(), second_.operand(), loss,
                                          this->weighted(row_weights));
  }
};

}  // namespace conformance
