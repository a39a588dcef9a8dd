// The losses and gradients that a test case must have, by the loss's formula.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <map>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "loss/formula.hpp"
#include "support/operators/every_verb.hpp"
#include "support/operators/operand_input.hpp"
#include "support/operators/registry.hpp"

namespace testing {

using conformance::registry;
using conformance::result;
using conformance::test_case;

/// Every input rounded to T, so that formula and loss read the same numbers.
template <class T>
test_case rounded(test_case given) {
  for (auto& [name, x] : given.inputs) {
    const bool is_features = given.padding.contains(name);
    for (double& v : x.data) {
      v = is_features ? static_cast<double>(feaug::load(conformance::rounded<T>(v)))
                      : static_cast<double>(conformance::rounded<feaug::compute_t<T>>(v));
    }
  }
  return given;
}

inline std::vector<result> run(const registry& losses, const std::string& loss,
                               const test_case& given) {
  conformance::arguments asked(given);
  return losses.at(loss)(asked).all();
}

/// The losses by the formula, and their derivatives with respect to every variable.
struct expectation {
  std::vector<double> losses;
  double mean_over = 0;
  std::vector<std::vector<double>> slopes = {};
};

inline expectation losses_of(const loss_formula& formula, const test_case& given,
                             const std::vector<double>& at) {
  const formula_inputs<double> in(given, formula.variables_of(given), at);
  expectation all{.losses = formula.losses(in)};
  all.mean_over =
      formula.mean_over ? formula.mean_over(in) : static_cast<double>(all.losses.size());
  return all;
}

inline expectation with_slopes(const loss_formula& formula, const test_case& given,
                               const std::vector<double>& at) {
  expectation all = losses_of(formula, given, at);
  const auto n = static_cast<Eigen::Index>(at.size());
  std::vector<dual> variables;
  for (Eigen::Index i = 0; i < n; ++i)
    variables.emplace_back(at[static_cast<std::size_t>(i)], n, i);
  for (const dual& loss : formula.dual_losses({given, formula.variables_of(given), variables}))
    all.slopes.emplace_back(loss.derivatives().data(), loss.derivatives().data() + n);
  return all;
}

inline bool is_reduced(const test_case& given) {
  return given.options.value("reduction", "mean") != "none";
}

/// The weight of each row loss in the returned loss.
inline std::vector<double> weights_of(const test_case& given, const expectation& want) {
  const bool is_mean = given.options.value("reduction", "mean") == "mean";
  std::vector<double> weights(want.losses.size(), is_mean ? 1 / std::max(want.mean_over, 1.0) : 1);
  if (!given.inputs.contains("row_weights")) return weights;
  for (std::size_t i = 0; i < weights.size(); ++i)
    weights[i] *= given.inputs.at("row_weights").data[i];
  return weights;
}

/// The weight of each row loss's derivative in a gradient.
inline std::vector<double> slope_weights(const test_case& given, const expectation& want,
                                         const std::string& route) {
  std::vector<double> weights = weights_of(given, want);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    weights[i] *= given.options.value("gradient_scale", 1.0);
    if (route != "backward") continue;
    const auto row = is_reduced(given) ? feaug::index_t{0} : static_cast<feaug::index_t>(i);
    weights[i] *= conformance::cotangent_of(given.options.value("cotangent", 1.0), row);
  }
  return weights;
}

inline std::vector<double> wanted_losses(const test_case& given, const expectation& want) {
  const std::vector<double> weights = weights_of(given, want);
  if (is_reduced(given)) return {weighted(want.losses, weights)};
  std::vector<double> losses = want.losses;
  for (std::size_t i = 0; i < losses.size(); ++i) losses[i] *= weights[i];
  return losses;
}

/// A gradient minus what its destination contained before.
inline std::vector<double> gradient_of(const test_case& given, const std::string& name,
                                       const result& got) {
  std::vector<double> gradient = got.value.data;
  if (!given.accumulate.contains(name)) return gradient;
  for (std::size_t i = 0; i < gradient.size(); ++i) gradient[i] -= conformance::added_to(i);
  return gradient;
}

/// The input whose gradient the result is; "" for other results.
inline std::string input_of(const result& got) {
  return got.name.starts_with("grad_") ? got.name.substr(5) : "";
}

/// The derivative along a direction.
struct slope {
  std::string route;
  double got = 0;            ///< the gradients times the direction
  double want = 0;           ///< the formula's, by central differences
  double gradient_norm = 0;  ///< ‖gradients‖
};

/// For both functions that compute gradients, along one random direction of all their inputs.
inline std::vector<slope> slopes_along(const loss_formula& formula, const test_case& given,
                                       const std::vector<result>& all, std::mt19937& generator) {
  const std::vector<std::string> names = formula.variables_of(given);
  std::vector<double> above = joined(given, names);
  std::vector<double> below = above;
  std::normal_distribution<double> draw;
  constexpr double h = 1e-5;
  std::map<std::string, std::vector<double>> directions;
  std::size_t next = 0;
  for (const std::string& name : names) {
    for (std::size_t j = 0; j < given.inputs.at(name).data.size(); ++j, ++next) {
      const double along = given.stop_gradient.contains(name) ? 0 : draw(generator);
      directions[name].push_back(along);
      above[next] += h * along;
      below[next] -= h * along;
    }
  }
  const expectation more = losses_of(formula, given, above);
  const expectation less = losses_of(formula, given, below);
  std::vector<slope> slopes;
  for (const char* route : {"backward", "with_gradients"}) {
    slope one{.route = route};
    const std::vector<double> weights = slope_weights(given, more, one.route);
    for (std::size_t i = 0; i < weights.size(); ++i)
      one.want += weights[i] * (more.losses[i] - less.losses[i]) / (2 * h);
    double square = 0;
    for (const result& got : all) {
      if (got.route != one.route || input_of(got).empty()) continue;
      const std::vector<double> gradient = gradient_of(given, input_of(got), got);
      const std::vector<double>& along = directions.at(input_of(got));
      one.got += std::inner_product(gradient.begin(), gradient.end(), along.begin(), 0.0);
      square += std::inner_product(gradient.begin(), gradient.end(), gradient.begin(), 0.0);
    }
    one.gradient_norm = std::sqrt(square);
    slopes.push_back(one);
  }
  return slopes;
}

}  // namespace testing
