// barlow_twins, vicreg and hypersphere, as run_loss wants them: one number from statistics over the
// batch.
#pragma once

#include <string>

#include "arguments.hpp"
#include "feaug/loss/barlow_twins.hpp"
#include "feaug/loss/hypersphere.hpp"
#include "feaug/loss/vicreg.hpp"
#include "operators/operand_input.hpp"
#include "operators/run_loss.hpp"

namespace conformance {

template <class Backend, class T>
class batch_loss {
 public:
  using backend = Backend;
  using value_type = T;
  using context = typename Backend::context;
  using vector = feaug::vector_view<feaug::compute_t<T>, Backend::space>;
  using const_vector = feaug::vector_view<const feaug::compute_t<T>, Backend::space>;

  explicit batch_loss(arguments& given) : a_(given, "a"), b_(given, "b") {}

  [[nodiscard]] static feaug::reduce reduction() { return feaug::reduce::sum; }
  [[nodiscard]] static feaug::index_t losses() { return 1; }
  [[nodiscard]] bool wants_gradient() const { return a_.wants_gradient() || b_.wants_gradient(); }
  void forget_gradients() {
    a_.forget_gradient();
    b_.forget_gradient();
  }
  void add_gradients(results& got, const std::string& route) const {
    a_.add_gradient(got, route);
    b_.add_gradient(got, route);
  }

 protected:
  operand_input<Backend, T> a_;
  operand_input<Backend, T> b_;
};

template <class Backend, class T>
class barlow_twins_loss : public batch_loss<Backend, T> {
 public:
  using base = batch_loss<Backend, T>;

  explicit barlow_twins_loss(arguments& given) : base(given) {
    options_.lambda = given.option("lambda", options_.lambda);
    options_.eps = given.option("eps", options_.eps);
  }

  void forward(typename base::context& ctx, typename base::vector loss) {
    feaug::barlow_twins(ctx, this->a_.value(), this->b_.value(), loss, options_);
  }
  void backward(typename base::context& ctx, typename base::const_vector cotangent) {
    feaug::barlow_twins_backward(ctx, this->a_.operand(), this->b_.operand(), cotangent, options_);
  }
  void with_gradients(typename base::context& ctx, typename base::vector loss,
                      typename base::const_vector /*row_weights*/) {
    feaug::barlow_twins_with_gradients(ctx, this->a_.operand(), this->b_.operand(), loss, options_);
  }

 private:
  feaug::barlow_twins_options options_;
};

template <class Backend, class T>
class vicreg_loss : public batch_loss<Backend, T> {
 public:
  using base = batch_loss<Backend, T>;

  explicit vicreg_loss(arguments& given) : base(given) {
    options_.invariance = given.option("invariance", options_.invariance);
    options_.variance = given.option("variance", options_.variance);
    options_.covariance = given.option("covariance", options_.covariance);
    options_.eps = given.option("eps", options_.eps);
  }

  void forward(typename base::context& ctx, typename base::vector loss) {
    feaug::vicreg(ctx, this->a_.value(), this->b_.value(), loss, options_);
  }
  void backward(typename base::context& ctx, typename base::const_vector cotangent) {
    feaug::vicreg_backward(ctx, this->a_.operand(), this->b_.operand(), cotangent, options_);
  }
  void with_gradients(typename base::context& ctx, typename base::vector loss,
                      typename base::const_vector /*row_weights*/) {
    feaug::vicreg_with_gradients(ctx, this->a_.operand(), this->b_.operand(), loss, options_);
  }

 private:
  feaug::vicreg_options options_;
};

template <class Backend, class T>
class hypersphere_loss : public batch_loss<Backend, T> {
 public:
  using base = batch_loss<Backend, T>;

  explicit hypersphere_loss(arguments& given) : base(given) {
    options_.t = given.option("t", options_.t);
    options_.lam = given.option("lam", options_.lam);
    options_.alpha = given.option("alpha", options_.alpha);
  }

  void forward(typename base::context& ctx, typename base::vector loss) {
    feaug::hypersphere(ctx, this->a_.value(), this->b_.value(), loss, options_);
  }
  void backward(typename base::context& ctx, typename base::const_vector cotangent) {
    feaug::hypersphere_backward(ctx, this->a_.operand(), this->b_.operand(), cotangent, options_);
  }
  void with_gradients(typename base::context& ctx, typename base::vector loss,
                      typename base::const_vector /*row_weights*/) {
    feaug::hypersphere_with_gradients(ctx, this->a_.operand(), this->b_.operand(), loss, options_);
  }

 private:
  feaug::hypersphere_options options_;
};

}  // namespace conformance
