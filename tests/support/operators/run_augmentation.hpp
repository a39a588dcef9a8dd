// Runs an augmentation for a case: forward, gradients, and both in place where allowed.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "feaug/augment/augmentation.hpp"
#include "feaug/core/error.hpp"
#include "support/operators/policy_inputs.hpp"

namespace conformance {

/// Forward and backward pass of an augmentation.
template <class Backend, class T>
struct augmentation_passes {
  using inputs = policy_inputs<Backend, T>;
  std::function<void(const typename inputs::const_matrix& x, const typename inputs::matrix& out)>
      forward;
  std::function<void(const typename inputs::operand_type& x,
                     const typename inputs::const_matrix& grad_out)>
      backward;
  bool may_be_in_place = true;
};

template <class Backend, class T, class Policy>
augmentation_passes<Backend, T> passes_of(policy_inputs<Backend, T>& in, const Policy& policy) {
  return {.forward = [&in, policy, key = in.key()](
                         const auto& x,
                         const auto& out) { feaug::augment(in.context(), policy, x, key, out); },
          .backward =
              [&in, policy, key = in.key()](const auto& x, const auto& g) {
                feaug::augment_backward(in.context(), policy, x, key, g);
              },
          .may_be_in_place = !feaug::augmentation_traits<Policy>::mixes_rows};
}
template <class Backend, class T>
augmentation_passes<Backend, T> passes_of(policy_inputs<Backend, T>& /*in*/,
                                          const augmentation_passes<Backend, T>& passes) {
  return passes;
}

/// The output of an augmentation, of x's shape.
template <class Backend, class T>
class features_output {
 public:
  features_output(policy_inputs<Backend, T>& in, const std::string& name)
      : name_(name),
        like_(in.x().input()),
        padding_(in.given().is_strided() ? 3 : 0),
        memory_(padded(unwritten<T>(like_.data.size())), in.given().misplaced(name)) {}

  [[nodiscard]] feaug::matrix_view<T, Backend::space> view() {
    return view_of<Backend, 2, T>(memory_, like_, padding_);
  }
  void assign(const tensor& values) { memory_.assign(padded(rounded<T>(values))); }
  void add(results& to, const std::string& route) const {
    const auto [rows, damaged] = without_padding(memory_.to_host(), like_, padding_);
    to.add(name_, like_.shape, rows, route);
    if (padding_ > 0) to.add_counter("damaged padding of " + name_, damaged);
  }
  [[nodiscard]] bool is_written() const {
    results now;
    now.add("", {}, without_padding(memory_.to_host(), like_, padding_).first);
    const std::vector<double>& numbers = now.all().front().value.data;
    return !std::all_of(numbers.begin(), numbers.end(), [](double x) { return std::isnan(x); });
  }

 private:
  [[nodiscard]] std::vector<T> padded(const std::vector<T>& rows) const {
    return with_padding(rows, like_, padding_);
  }

  std::string name_;
  const tensor& like_;
  std::int64_t padding_;
  placed_array<Backend, T> memory_;
};

template <class Backend, class T>
results run_passes(policy_inputs<Backend, T>& in, const augmentation_passes<Backend, T>& passes) {
  results got;
  const bool in_place = passes.may_be_in_place && in.given().option("in_place", true);
  features_output<Backend, T> out(in, "out");
  try {
    passes.forward(in.x().value(), out.view());
  } catch (const feaug::argument_error& refused) {
    if (!out.is_written()) throw;
    throw std::runtime_error("out was written, and then: " + std::string(refused.what()));
  }
  out.add(got, "");
  if (in_place) {
    out.assign(in.x().input());
    passes.forward(out.view(), out.view());
    out.add(got, "in place");
  }
  const auto x = in.x_operand();
  if (in.given().option("gradients", true) && (in.wants_gradient() || in.given().is_strided())) {
    const auto grad_out = in.constant("grad_out");
    passes.backward(x, grad_out);
    in.x().add_gradient(got);
    in.add_gradients(got, "");
    if (in_place && x.mode == feaug::gradient_mode::overwrite) {
      in.forget_gradients();
      features_output<Backend, T> gradient(in, "grad_" + in.x_name());
      gradient.assign(in.given().input("grad_out"));
      auto over = x;
      over.gradient = gradient.view();
      passes.backward(over, gradient.view());
      gradient.add(got, "in place");
      in.add_gradients(got, "in place");
    }
  }
  in.add_written(got);
  return got;
}

/// make(inputs) returns a policy, or the two passes.
template <class Backend, class T, class Make>
results run_augmentation(arguments& given, const Make& make, const std::string& x = "x") {
  policy_inputs<Backend, T> in(given, x);
  return run_passes(in, passes_of(in, make(in)));
}

}  // namespace conformance
