// Common part of all losses, for run_loss and every_verb: operands, shared options, and the
// statistics between forward and backward pass.
#pragma once

#include <cstddef>
#include <list>
#include <optional>
#include <string>

#include "feaug/core/element.hpp"
#include "feaug/core/reduce.hpp"
#include "support/operators/arguments.hpp"
#include "support/operators/operand_input.hpp"
#include "support/operators/results.hpp"

namespace conformance {

/// The functions of the loss `name`, as generic callables.
#define FEAUG_TEST_LOSS_VERBS(name)                                                            \
  struct name##_verbs {                                                                        \
    static constexpr auto forward = [](auto&&... in) { feaug::name(in...); };                  \
    [[maybe_unused]] static constexpr auto backward = [](auto&&... in) {                       \
      feaug::name##_backward(in...);                                                           \
    };                                                                                         \
    static constexpr auto at_once = [](auto&&... in) { feaug::name##_with_gradients(in...); }; \
  }

/// `Options` is the options type of the loss.
template <class Backend, class T, class Options>
class loss_adapter {
 public:
  using backend = Backend;
  using value_type = T;
  using context = typename Backend::context;
  using scalar_type = feaug::compute_t<T>;
  using vector = feaug::vector_view<scalar_type, Backend::space>;
  using const_vector = feaug::vector_view<const scalar_type, Backend::space>;
  using matrix_input = operand_input<Backend, T>;
  using learnable_input = operand_input<Backend, scalar_type, 1>;

  explicit loss_adapter(arguments& given) : given_(given) {
    options_.gradient_scale = given.option("gradient_scale", 1.0);
    if constexpr (requires { options_.reduction; }) {
      options_.reduction = given.choice<feaug::reduce>("reduction", "mean",
                                                       {{"mean", feaug::reduce::mean},
                                                        {"sum", feaug::reduce::sum},
                                                        {"none", feaug::reduce::none}});
      if (given.has("row_weights")) {
        row_weights_.emplace(given, "row_weights");
        options_.row_weights = row_weights_->view();
      }
    }
    if constexpr (requires { options_.normalize; })
      options_.normalize = given.option("normalize", true);
    if constexpr (requires { options_.temperature; })
      options_.temperature = given.option("temperature", options_.temperature);
    if constexpr (requires { options_.learnable_temperature; })
      temperature_ = learnable(given, "temperature");
  }

  [[nodiscard]] feaug::reduce reduction() const {
    if constexpr (requires { options_.reduction; }) return options_.reduction;
    return feaug::reduce::sum;
  }
  [[nodiscard]] feaug::index_t losses() const { return operands_.front().input().shape[0]; }
  [[nodiscard]] bool wants_gradient() const {
    bool wanted = false;
    each([&](const auto& x) { wanted = wanted || x.wants_gradient(); });
    return wanted;
  }
  void forget_gradients() {
    for (auto& x : operands_) x.forget_gradient();
    for (auto& x : numbers_) x.forget_gradient();
  }
  void add_gradients(results& got, const std::string& route) const {
    each([&](const auto& x) { x.add_gradient(got, route); });
  }
  [[nodiscard]] bool inputs_intact() const {
    bool intact = true;
    each([&](const auto& x) { intact = intact && x.is_intact(); });
    for (const auto& x : constants_) intact = intact && x.is_intact();
    return intact;
  }
  void add_statistics(results& got) const {
    if (statistics_) got.add("statistics", {statistics_size_}, statistics_->to_host());
  }
  /// Sets the row weights for later calls.
  void weigh_rows(const const_vector& weights) {
    if constexpr (requires { options_.row_weights; }) options_.row_weights = weights;
  }

 protected:
  matrix_input& operand(arguments& given, const std::string& name) {
    return operands_.emplace_back(given, name);
  }
  /// An input without a gradient.
  matrix_input& constant(arguments& given, const std::string& name) {
    return constants_.emplace_back(given, name);
  }
  /// An empty view if the case does not have the input.
  feaug::matrix_view<const T, Backend::space> constant_view(arguments& given,
                                                            const std::string& name) {
    if (!given.has(name)) return {};
    return constant(given, name).value();
  }
  /// Null if the case does not have the input.
  learnable_input* learnable(arguments& given, const std::string& name) {
    return given.has(name) ? &numbers_.emplace_back(given, name) : nullptr;
  }

  /// Created for each call, because an argument of the call may be damaged.
  Options options() {
    Options all = options_;
    if constexpr (requires { options_.learnable_temperature; }) {
      if (temperature_ != nullptr) all.learnable_temperature = temperature_->operand();
    }
    return all;
  }
  /// Memory for the statistics, which forward writes and backward reads.
  vector fresh_statistics(feaug::index_t size) {
    statistics_size_ = size;
    statistics_.emplace(unwritten<scalar_type>(static_cast<std::size_t>(size)),
                        given_.misplaced("statistics"));
    return statistics();
  }
  vector statistics() {
    return given_.passed("statistics", vector(statistics_->data(), statistics_size_));
  }

  arguments& given_;

  Options options_;

 private:
  template <class Body>
  void each(const Body& body) const {
    for (const auto& x : operands_) body(x);
    for (const auto& x : numbers_) body(x);
  }

  std::list<matrix_input> operands_;
  std::list<matrix_input> constants_;
  std::list<learnable_input> numbers_;
  learnable_input* temperature_ = nullptr;
  std::optional<number_input<Backend, scalar_type, 1>> row_weights_;
  std::optional<placed_array<Backend, scalar_type>> statistics_;
  feaug::index_t statistics_size_ = 0;
};

}  // namespace conformance
