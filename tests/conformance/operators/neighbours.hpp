// Runs the cases of the operators neighbour and pseudo_neighbour. For neighbour, the case's option
// `of` selects the policy: nearest, mean, trimmed_mean, median or random. pseudo_neighbour always
// uses the trimmed mean.
#pragma once

#include <limits>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "feaug/augment/augmentation.hpp"
#include "feaug/augment/mean_neighbour.hpp"
#include "feaug/augment/mutual_neighbour.hpp"
#include "feaug/augment/pseudo_neighbour.hpp"
#include "feaug/augment/random_neighbour.hpp"
#include "operators/augmentation_arrays.hpp"
#include "support/operators/operand_input.hpp"
#include "support/operators/queue_memory.hpp"
#include "support/operators/registry.hpp"

namespace conformance {

/// Reads the options of a neighbour policy from the case.
template <class How>
How read_neighbour(arguments& given) {
  How how;
  how.gradient = given.choice<feaug::neighbour_gradient>(
      "gradient", "none",
      {{"none", feaug::neighbour_gradient::none},
       {"straight_through", feaug::neighbour_gradient::straight_through}});
  how.fallback = feaug::neighbour_fallback::query;
  const double infinity = std::numeric_limits<double>::infinity();
  how.similarity = {.floor = given.option("similarity_floor", -infinity),
                    .ceiling = given.option("similarity_ceiling", infinity)};
  if constexpr (requires { how.k; }) how.k = given.option<feaug::index_t>("k", how.k);
  if constexpr (requires { how.trim; }) how.trim = given.option<feaug::index_t>("trim", how.trim);
  return how;
}

/// Calls act(how) with the policy of the case.
template <class Act>
results with_neighbours(arguments& given, const Act& act) {
  const auto mutual = given.option<feaug::index_t>("mutual", 0);
  const auto one = [&](const auto& how) {
    if (mutual == 0) return act(how);
    return act(feaug::mutual_neighbour_of<std::remove_cvref_t<decltype(how)>>{.of = how,
                                                                              .queries = mutual});
  };
  const auto of = given.option<std::string>("of", "nearest");
  if (of == "nearest") return one(read_neighbour<feaug::neighbour>(given));
  if (of == "mean") return one(read_neighbour<feaug::mean_neighbour>(given));
  if (of == "trimmed_mean") return one(read_neighbour<feaug::trimmed_mean_neighbour>(given));
  if (of == "median") return one(read_neighbour<feaug::median_neighbour>(given));
  if (of == "random") return one(read_neighbour<feaug::random_neighbour>(given));
  throw std::runtime_error("option of: no value \"" + of + "\"");
}

/// The output of a bound policy, and its gradient.
template <class Backend, class T, class Policy>
results run_bound(arguments& given, const Policy& policy, operand_input<Backend, T>& x) {
  typename Backend::context context;
  augmentation_output<Backend, T> out(x.input());
  results got;
  feaug::augment(context, policy, x.value(), feaug::random_key{}, out.view());
  out.add(got);
  if (x.wants_gradient()) {
    cotangent_input<Backend, T> cotangent(given);
    feaug::augment_backward(context, policy, x.operand(), feaug::random_key{}, cotangent.view());
    x.add_gradient(got);
  }
  return got;
}

template <class Backend, class T>
results run_neighbour(arguments& given) {
  operand_input<Backend, T> x(given, "x");
  queue_memory<Backend, T> queue(given.input("support", 2));
  return with_neighbours(given, [&](const auto& how) {
    const auto policy = feaug::neighbour_from(queue.view(), how);
    if constexpr (feaug::neighbour_rule<std::remove_cvref_t<decltype(how)>>::draws_choice) {
      operand_input<Backend, float, 1> choice(given, "choice");
      return run_bound<Backend, T>(given, feaug::with_choice(policy, choice.value()), x);
    } else {
      return run_bound<Backend, T>(given, policy, x);
    }
  });
}

template <class Backend, class T>
results run_pseudo_neighbour(arguments& given) {
  operand_input<Backend, T> x(given, "x");
  operand_input<Backend, T> epsilon(given, "epsilon");
  queue_memory<Backend, T> queue(given.input("support", 2));
  const auto of = read_neighbour<feaug::trimmed_mean_neighbour>(given);
  const feaug::pseudo_neighbour_of<feaug::trimmed_mean_neighbour> how = {
      .of = of,
      .weight = static_cast<float>(given.option("weight", 0.05)),
      .noise = static_cast<float>(given.option("noise", 0.0)),
      .normalize = given.option("normalize", false)};
  return run_bound<Backend, T>(
      given, feaug::with_noise(feaug::neighbour_from(queue.view(), how), epsilon.value()), x);
}

template <class Backend, class T>
void add_neighbours(registry& operators) {
  operators["neighbour"] = run_neighbour<Backend, T>;
  operators["pseudo_neighbour"] = run_pseudo_neighbour<Backend, T>;
}

}  // namespace conformance
