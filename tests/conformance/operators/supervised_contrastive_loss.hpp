// supervised_contrastive, as run_loss wants it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "arguments.hpp"
#include "feaug/loss/supervised_contrastive.hpp"
#include "operators/arrays.hpp"
#include "operators/operand_input.hpp"
#include "operators/run_loss.hpp"

namespace conformance {

template <class Backend, class T>
class supervised_contrastive_loss {
 public:
  using backend = Backend;
  using value_type = T;
  using context = typename Backend::context;
  using scalar_type = feaug::compute_t<T>;
  using vector = feaug::vector_view<scalar_type, Backend::space>;
  using const_vector = feaug::vector_view<const scalar_type, Backend::space>;

  explicit supervised_contrastive_loss(arguments& given)
      : z_(given, "z"), labels_(rounded<feaug::index_t>(given.input("labels", 1))) {
    options_.temperature = given.option("temperature", options_.temperature);
    options_.reduction = read_reduction(given);
    options_.normalize = given.option("normalize", true);
    if (given.has("temperature")) temperature_.emplace(given, "temperature");
  }

  [[nodiscard]] feaug::reduce reduction() const { return options_.reduction; }
  [[nodiscard]] feaug::index_t losses() const { return z_.input().shape[0]; }
  [[nodiscard]] bool wants_gradient() const {
    return z_.wants_gradient() || (temperature_ && temperature_->wants_gradient());
  }
  void forget_gradients() {
    z_.forget_gradient();
    if (temperature_) temperature_->forget_gradient();
  }
  void add_gradients(results& got, const std::string& route) const {
    z_.add_gradient(got, route);
    if (temperature_) temperature_->add_gradient(got, route);
  }

  void forward(context& ctx, vector loss) {
    statistics_.emplace(unwritten<scalar_type>(static_cast<std::size_t>(losses())));
    feaug::supervised_contrastive(ctx, z_.value(), labels(), loss, options(), statistics());
  }
  void backward(context& ctx, const_vector cotangent) {
    feaug::supervised_contrastive_backward(ctx, z_.operand(), labels(), statistics(), cotangent,
                                           options());
  }
  void with_gradients(context& ctx, vector loss, const_vector row_weights) {
    feaug::supervised_contrastive_with_gradients(ctx, z_.operand(), labels(), loss,
                                                 options(row_weights));
  }

 private:
  using options_type = feaug::supervised_contrastive_options<T, Backend::space>;

  feaug::vector_view<const feaug::index_t, Backend::space> labels() {
    return feaug::vector_view<feaug::index_t, Backend::space>(labels_.data(), losses());
  }
  vector statistics() { return {statistics_->data(), losses()}; }
  /// Made for each call: destinations move when they are filled with NaN again.
  options_type options(const const_vector& row_weights = {}) {
    options_type all = options_;
    all.row_weights = row_weights;
    if (temperature_) all.learnable_temperature = temperature_->operand();
    return all;
  }

  operand_input<Backend, T> z_;
  typename Backend::template array<feaug::index_t> labels_;
  std::optional<operand_input<Backend, scalar_type, 1>> temperature_;
  std::optional<typename Backend::template array<scalar_type>> statistics_;
  options_type options_;
};

}  // namespace conformance
