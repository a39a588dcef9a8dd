// What the losses with a soft-max over cosines share, for run_loss: two sides, and the options of
// the whole family.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "arguments.hpp"
#include "feaug/core/element.hpp"
#include "operators/operand_input.hpp"
#include "operators/run_loss.hpp"

namespace conformance {

/// `Options` are the operator's own.
template <class Backend, class T, class Options>
class contrastive_loss {
 public:
  using backend = Backend;
  using value_type = T;
  using context = typename Backend::context;
  using scalar_type = feaug::compute_t<T>;
  using vector = feaug::vector_view<scalar_type, Backend::space>;
  using const_vector = feaug::vector_view<const scalar_type, Backend::space>;

  contrastive_loss(arguments& given, const std::string& first, const std::string& second)
      : first_(given, first), second_(given, second) {
    options_.temperature = given.option("temperature", options_.temperature);
    options_.reduction = read_reduction(given);
    options_.normalize = given.option("normalize", true);
    if (given.has("temperature")) temperature_.emplace(given, "temperature");
  }

  [[nodiscard]] feaug::reduce reduction() const { return options_.reduction; }
  [[nodiscard]] bool wants_gradient() const {
    return first_.wants_gradient() || second_.wants_gradient() ||
           (temperature_ && temperature_->wants_gradient());
  }
  void forget_gradients() {
    first_.forget_gradient();
    second_.forget_gradient();
    if (temperature_) temperature_->forget_gradient();
  }
  void add_gradients(results& got, const std::string& route) const {
    first_.add_gradient(got, route);
    second_.add_gradient(got, route);
    if (temperature_) temperature_->add_gradient(got, route);
  }

 protected:
  /// Made for each call: destinations move when they are filled with NaN again.
  Options options(const const_vector& row_weights = {}) {
    Options all = options_;
    all.row_weights = row_weights;
    if (temperature_) all.learnable_temperature = temperature_->operand();
    return all;
  }
  /// Room for the statistics, which forward writes and backward reads.
  vector fresh_statistics(feaug::index_t size) {
    statistics_.emplace(unwritten<scalar_type>(static_cast<std::size_t>(size)));
    return {statistics_->data(), size};
  }
  const_vector statistics(feaug::index_t size) { return vector(statistics_->data(), size); }
  [[nodiscard]] feaug::index_t rows() const { return first_.input().shape[0]; }

  operand_input<Backend, T> first_;
  operand_input<Backend, T> second_;
  std::optional<operand_input<Backend, scalar_type, 1>> temperature_;
  std::optional<typename Backend::template array<scalar_type>> statistics_;
  Options options_;
};

}  // namespace conformance
