// Reference formulas of the losses, registered by name. Each is written once for double and dual
// numbers, and is compared with the loss in every test case.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "loss/reference.hpp"
#include "support/automatic_gradient.hpp"
#include "support/operators/test_case.hpp"

namespace testing {

/// The numbers of the inputs `names`, concatenated.
inline std::vector<double> joined(const conformance::test_case& given,
                                  const std::vector<std::string>& names) {
  std::vector<double> all;
  for (const std::string& name : names) {
    const std::vector<double>& x = given.inputs.at(name).data;
    all.insert(all.end(), x.begin(), x.end());
  }
  return all;
}

inline double zero_like(const std::vector<double>& /*variables*/) { return 0; }
inline dual zero_like(const std::vector<dual>& variables) {
  return {0.0, Eigen::VectorXd::Zero(static_cast<Eigen::Index>(variables.size()))};
}

/// Inputs and options of a test case, by name.
template <class S>
class formula_inputs {
 public:
  /// `variables`: the numbers of the inputs `names`, one input after another.
  formula_inputs(const conformance::test_case& given, const std::vector<std::string>& names,
                 const std::vector<S>& variables)
      : given_(given), zero_(zero_like(variables)) {
    auto next = variables.begin();
    for (const std::string& name : names) {
      const auto size = static_cast<std::ptrdiff_t>(given.inputs.at(name).data.size());
      variables_[name] = std::vector<S>(next, next + size);
      next += size;
    }
  }

  [[nodiscard]] bool has(const std::string& name) const { return given_.inputs.contains(name); }
  /// An empty matrix if the case does not have the input.
  [[nodiscard]] rows_of<S> matrix(const std::string& name) const {
    if (!has(name)) return rows_of<S>({}, 0, 0, 0);
    const auto& shape = given_.inputs.at(name).shape;
    return rows_of<S>(numbers(name), 0, shape.at(0), shape.at(1));
  }
  /// The values of the case, not the variables: for inputs without a gradient.
  [[nodiscard]] rows_of<double> constant(const std::string& name) const {
    if (!has(name)) return rows_of<double>({}, 0, 0, 0);
    const conformance::tensor& x = given_.inputs.at(name);
    return rows_of<double>(x.data, 0, x.shape.at(0), x.shape.at(1));
  }
  [[nodiscard]] const std::vector<double>& vector(const std::string& name) const {
    return given_.inputs.at(name).data;
  }
  /// A learnable number: an input, an option or the default.
  [[nodiscard]] S number(const std::string& name, double otherwise) const {
    return has(name) ? numbers(name).front() : S(zero_ + option(name, otherwise));
  }
  template <class Value>
  [[nodiscard]] Value option(const std::string& name, Value otherwise) const {
    return given_.options.value(name, otherwise);
  }

 private:
  [[nodiscard]] std::vector<S> numbers(const std::string& name) const {
    const auto found = variables_.find(name);
    if (found != variables_.end()) return found->second;
    std::vector<S> constants;  // zero derivatives, as many as there are variables
    for (const double x : vector(name)) constants.push_back(zero_ + x);
    return constants;
  }

  const conformance::test_case& given_;
  S zero_;
  std::map<std::string, std::vector<S>> variables_;
};

/// The number of rows of `support` that the queue holds.
template <class S>
index_t filled_rows(const formula_inputs<S>& in) {
  return in.option("filled", in.constant("support").size());
}

template <class S>
std::vector<std::int64_t> ids_of(const formula_inputs<S>& in, const std::string& name) {
  return {in.vector(name).begin(), in.vector(name).end()};
}

struct loss_formula {
  /// Inputs that can have a gradient.
  std::vector<std::string> differentiable;
  /// One loss per row, or a single loss for the batch.
  std::function<std::vector<double>(const formula_inputs<double>&)> losses;
  std::function<std::vector<dual>(const formula_inputs<dual>&)> dual_losses;
  /// Divisor of the mean; if empty, the number of losses.
  std::function<double(const formula_inputs<double>&)> mean_over;
  /// True if the formula is also valid for zero, huge and infinite numbers.
  bool holds_at_edges;
  /// The slots that the loss finds; empty if it does not search.
  std::function<std::vector<double>(const formula_inputs<double>&)> slots = nullptr;

  [[nodiscard]] std::vector<std::string> variables_of(const conformance::test_case& given) const {
    std::vector<std::string> names;
    for (const std::string& name : differentiable) {
      if (given.inputs.contains(name)) names.push_back(name);
    }
    return names;
  }
};

inline std::map<std::string, loss_formula>& formulas() {
  static std::map<std::string, loss_formula> all;
  return all;
}

struct registered_formula {
  template <class Losses>
  registered_formula(const std::string& loss, std::vector<std::string> differentiable,
                     const Losses& losses,
                     std::function<double(const formula_inputs<double>&)> mean_over = nullptr,
                     bool holds_at_edges = true) {
    formulas()[loss] = {.differentiable = std::move(differentiable),
                        .losses = losses,
                        .dual_losses = losses,
                        .mean_over = std::move(mean_over),
                        .holds_at_edges = holds_at_edges};
  }
};

}  // namespace testing
