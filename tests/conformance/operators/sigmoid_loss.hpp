// sigmoid, as run_loss wants it.
#pragma once

#include <optional>
#include <string>

#include "arguments.hpp"
#include "feaug/loss/sigmoid.hpp"
#include "operators/operand_input.hpp"
#include "operators/run_loss.hpp"

namespace conformance {

template <class Backend, class T>
class sigmoid_loss {
 public:
  using backend = Backend;
  using value_type = T;
  using context = typename Backend::context;
  using scalar_type = feaug::compute_t<T>;
  using vector = feaug::vector_view<scalar_type, Backend::space>;
  using const_vector = feaug::vector_view<const scalar_type, Backend::space>;

  explicit sigmoid_loss(arguments& given) : a_(given, "a"), b_(given, "b") {
    options_.scale = given.option("scale", options_.scale);
    options_.bias = given.option("bias", options_.bias);
    options_.reduction = read_reduction(given);
    options_.normalize = given.option("normalize", true);
    if (given.has("scale")) scale_.emplace(given, "scale");
    if (given.has("bias")) bias_.emplace(given, "bias");
  }

  [[nodiscard]] feaug::reduce reduction() const { return options_.reduction; }
  [[nodiscard]] feaug::index_t losses() const { return a_.input().shape[0]; }
  [[nodiscard]] bool wants_gradient() const {
    return a_.wants_gradient() || b_.wants_gradient() || (scale_ && scale_->wants_gradient()) ||
           (bias_ && bias_->wants_gradient());
  }
  void forget_gradients() {
    a_.forget_gradient();
    b_.forget_gradient();
    if (scale_) scale_->forget_gradient();
    if (bias_) bias_->forget_gradient();
  }
  void add_gradients(results& got, const std::string& route) const {
    a_.add_gradient(got, route);
    b_.add_gradient(got, route);
    if (scale_) scale_->add_gradient(got, route);
    if (bias_) bias_->add_gradient(got, route);
  }

  void forward(context& ctx, vector loss) {
    feaug::sigmoid(ctx, a_.value(), b_.value(), loss, options());
  }
  void backward(context& ctx, const_vector cotangent) {
    feaug::sigmoid_backward(ctx, a_.operand(), b_.operand(), cotangent, options());
  }
  void with_gradients(context& ctx, vector loss, const_vector row_weights) {
    feaug::sigmoid_with_gradients(ctx, a_.operand(), b_.operand(), loss, options(row_weights));
  }

 private:
  using options_type = feaug::sigmoid_options<T, Backend::space>;

  /// Made for each call: destinations move when they are filled with NaN again.
  options_type options(const const_vector& row_weights = {}) {
    options_type all = options_;
    all.row_weights = row_weights;
    if (scale_) all.learnable_scale = scale_->operand();
    if (bias_) all.learnable_bias = bias_->operand();
    return all;
  }

  operand_input<Backend, T> a_;
  operand_input<Backend, T> b_;
  std::optional<operand_input<Backend, scalar_type, 1>> scale_;
  std::optional<operand_input<Backend, scalar_type, 1>> bias_;
  options_type options_;
};

}  // namespace conformance
