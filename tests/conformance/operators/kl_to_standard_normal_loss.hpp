// kl_to_standard_normal, as run_loss wants it.
#pragma once

#include "feaug/loss/kl_to_standard_normal.hpp"
#include "operators/paired_loss.hpp"

namespace conformance {

template <class Backend, class T>
class kl_to_standard_normal_loss
    : public paired_loss<Backend, T, feaug::kl_to_standard_normal_options<T, Backend::space>> {
  using base = paired_loss<Backend, T, feaug::kl_to_standard_normal_options<T, Backend::space>>;
  using base::first_;
  using base::options_;
  using base::second_;

 public:
  using typename base::const_vector;
  using typename base::context;
  using typename base::vector;

  explicit kl_to_standard_normal_loss(arguments& given) : base(given, "mean", "log_variance") {}

  void forward(context& ctx, vector loss) {
    feaug::kl_to_standard_normal(ctx, first_.value(), second_.value(), loss, options_);
  }
  void backward(context& ctx, const_vector cotangent) {
    feaug::kl_to_standard_normal_backward(ctx, first_.operand(), second_.operand(), cotangent,
                                          options_);
  }
  void with_gradients(context& ctx, vector loss, const_vector row_weights) {
    feaug::kl_to_standard_normal_with_gradients(ctx, first_.operand(), second_.operand(), loss,
                                                this->weighted(row_weights));
  }
};

}  // namespace conformance
