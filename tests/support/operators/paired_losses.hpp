// Losses of two matrices without statistics: negative_cosine, kl_to_standard_normal, sigmoid,
// barlow_twins, vicreg, hypersphere, masked_prediction.
#pragma once

#include <string>

#include "feaug/augment/mask.hpp"
#include "feaug/loss/barlow_twins.hpp"
#include "feaug/loss/hypersphere.hpp"
#include "feaug/loss/kl_to_standard_normal.hpp"
#include "feaug/loss/masked_prediction.hpp"
#include "feaug/loss/negative_cosine.hpp"
#include "feaug/loss/sigmoid.hpp"
#include "feaug/loss/vicreg.hpp"
#include "support/operators/loss_adapter.hpp"

namespace conformance {

template <class Backend, class T, class Options, class Verbs>
class paired_loss : public loss_adapter<Backend, T, Options> {
  using base = loss_adapter<Backend, T, Options>;

 public:
  using typename base::const_vector;
  using typename base::context;
  using typename base::vector;

  paired_loss(arguments& given, const std::string& first, const std::string& second)
      : base(given), first_(base::operand(given, first)), second_(base::operand(given, second)) {}

  void forward(context& ctx, vector loss) {
    Verbs::forward(ctx, first_.value(), second_.value(), loss, this->options());
  }
  void backward(context& ctx, const_vector cotangent) {
    Verbs::backward(ctx, first_.operand(), second_.operand(), cotangent, this->options());
  }
  void with_gradients(context& ctx, vector loss) {
    Verbs::at_once(ctx, first_.operand(), second_.operand(), loss, this->options());
  }

 protected:
  operand_input<Backend, T>& first_;
  operand_input<Backend, T>& second_;
};

FEAUG_TEST_LOSS_VERBS(negative_cosine);
FEAUG_TEST_LOSS_VERBS(kl_to_standard_normal);
FEAUG_TEST_LOSS_VERBS(sigmoid);
FEAUG_TEST_LOSS_VERBS(barlow_twins);
FEAUG_TEST_LOSS_VERBS(vicreg);
FEAUG_TEST_LOSS_VERBS(hypersphere);

template <class Backend, class T>
struct negative_cosine_loss
    : paired_loss<Backend, T, feaug::negative_cosine_options<T, Backend::space>,
                  negative_cosine_verbs> {
  explicit negative_cosine_loss(arguments& given)
      : negative_cosine_loss::paired_loss(given, "prediction", "target") {
    this->options_.form = given.choice<feaug::cosine_form>(
        "form", "byol",
        {{"byol", feaug::cosine_form::byol}, {"simsiam", feaug::cosine_form::simsiam}});
  }
};

template <class Backend, class T>
struct kl_to_standard_normal_loss
    : paired_loss<Backend, T, feaug::kl_to_standard_normal_options<T, Backend::space>,
                  kl_to_standard_normal_verbs> {
  explicit kl_to_standard_normal_loss(arguments& given)
      : kl_to_standard_normal_loss::paired_loss(given, "mean", "log_variance") {}
};

template <class Backend, class T>
struct barlow_twins_loss
    : paired_loss<Backend, T, feaug::barlow_twins_options, barlow_twins_verbs> {
  explicit barlow_twins_loss(arguments& given) : barlow_twins_loss::paired_loss(given, "a", "b") {
    this->options_.lambda = given.option("lambda", this->options_.lambda);
    this->options_.eps = given.option("eps", this->options_.eps);
  }
};

template <class Backend, class T>
struct vicreg_loss : paired_loss<Backend, T, feaug::vicreg_options, vicreg_verbs> {
  explicit vicreg_loss(arguments& given) : vicreg_loss::paired_loss(given, "a", "b") {
    auto& options = this->options_;
    options.invariance = given.option("invariance", options.invariance);
    options.variance = given.option("variance", options.variance);
    options.covariance = given.option("covariance", options.covariance);
    options.eps = given.option("eps", options.eps);
  }
};

template <class Backend, class T>
struct hypersphere_loss : paired_loss<Backend, T, feaug::hypersphere_options, hypersphere_verbs> {
  explicit hypersphere_loss(arguments& given) : hypersphere_loss::paired_loss(given, "a", "b") {
    auto& options = this->options_;
    options.t = given.option("t", options.t);
    options.lam = given.option("lam", options.lam);
    options.alpha = given.option("alpha", options.alpha);
  }
};

/// Its options have two learnable scalars.
template <class Backend, class T>
class sigmoid_loss
    : public paired_loss<Backend, T, feaug::sigmoid_options<T, Backend::space>, sigmoid_verbs> {
  using base = paired_loss<Backend, T, feaug::sigmoid_options<T, Backend::space>, sigmoid_verbs>;

 public:
  using typename base::const_vector;
  using typename base::context;
  using typename base::vector;

  explicit sigmoid_loss(arguments& given)
      : base(given, "a", "b"),
        scale_(this->learnable(given, "scale")),
        bias_(this->learnable(given, "bias")) {
    this->options_.scale = given.option("scale", this->options_.scale);
    this->options_.bias = given.option("bias", this->options_.bias);
  }

  void forward(context& ctx, vector loss) {
    learn();
    base::forward(ctx, loss);
  }
  void backward(context& ctx, const_vector cotangent) {
    learn();
    base::backward(ctx, cotangent);
  }
  void with_gradients(context& ctx, vector loss) {
    learn();
    base::with_gradients(ctx, loss);
  }

 private:
  void learn() {
    if (scale_ != nullptr) this->options_.learnable_scale = scale_->operand();
    if (bias_ != nullptr) this->options_.learnable_bias = bias_->operand();
  }

  typename base::learnable_input* scale_;
  typename base::learnable_input* bias_;
};

/// The mask is an input.
template <class Backend, class T>
class masked_prediction_loss
    : public loss_adapter<Backend, T, feaug::masked_prediction_options<T, Backend::space>> {
  using base = loss_adapter<Backend, T, feaug::masked_prediction_options<T, Backend::space>>;

 public:
  using typename base::const_vector;
  using typename base::context;
  using typename base::vector;

  explicit masked_prediction_loss(arguments& given)
      : base(given),
        prediction_(base::operand(given, "prediction")),
        target_(base::operand(given, "target")),
        keep_(base::constant(given, "keep")) {
    this->options_.form =
        given.choice<feaug::prediction_form>("form", "smooth_l1",
                                             {{"smooth_l1", feaug::prediction_form::smooth_l1},
                                              {"squared", feaug::prediction_form::squared},
                                              {"cosine", feaug::prediction_form::cosine}});
    this->options_.beta = given.option("beta", this->options_.beta);
  }

  void forward(context& ctx, vector loss) {
    feaug::masked_prediction(ctx, prediction_.value(), target_.value(), mask(), {}, loss,
                             this->options());
  }
  void backward(context& ctx, const_vector cotangent) {
    feaug::masked_prediction_backward(ctx, prediction_.operand(), target_.operand(), mask(), {},
                                      cotangent, this->options());
  }
  void with_gradients(context& ctx, vector loss) {
    feaug::masked_prediction_with_gradients(ctx, prediction_.operand(), target_.operand(), mask(),
                                            {}, loss, this->options());
  }

 private:
  [[nodiscard]] auto mask() { return feaug::mask_from(keep_.value()); }

  operand_input<Backend, T>& prediction_;
  operand_input<Backend, T>& target_;
  operand_input<Backend, T>& keep_;
};

}  // namespace conformance
