// Calls the functions of a loss with an invalid argument and returns their error messages.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "feaug/core/reduce.hpp"
#include "support/message_of.hpp"
#include "support/operators/arguments.hpp"
#include "support/operators/arrays.hpp"
#include "support/operators/results.hpp"

namespace conformance {

/// What one call did.
struct refusal {
  std::string message;  ///< the error message; empty if the function accepted its arguments
  bool has_written;     ///< true if the call changed an output or an input
};

/// Key: the suffix of the function's name, which is "", "_backward" or "_with_gradients".
using refusals = std::map<std::string, refusal>;
using verb_names = std::set<std::string>;
using refusal_registry =
    std::map<std::string, std::function<refusals(arguments&, const verb_names&)>>;

/// Calls these functions. The case must not accumulate gradients, because unwritten outputs are
/// recognised by NaN.
struct refusing_verbs {
  template <class Loss>
  static refusals run(arguments& given, const verb_names& verbs) {
    using backend = typename Loss::backend;
    using scalar = typename Loss::scalar_type;
    using vector = typename Loss::vector;
    Loss loss(given);
    const feaug::index_t outputs =
        loss.reduction() == feaug::reduce::none ? loss.losses() : feaug::index_t{1};
    const auto count = static_cast<std::size_t>(outputs);
    typename backend::context context = backend::context_for(given);
    placed_array<backend, scalar> value(unwritten<scalar>(count), given.misplaced("loss"));
    placed_array<backend, scalar> cotangent(
        std::vector<scalar>(count, static_cast<scalar>(given.option("cotangent", 1.0))),
        given.misplaced("cotangent"));
    given.require_all_used();
    refusals all;
    const auto call = [&](const std::string& verb, const auto& body) {
      // A backward pass needs the memory for statistics that the forward pass allocates.
      if (!verbs.contains(verb) && !(verb.empty() && verbs.contains("_backward"))) return;
      value.assign(unwritten<scalar>(count));
      given.place("loss", value.data());
      loss.forget_gradients();
      const std::string message = testing::message_of(body);
      results written;
      written.add("loss", {outputs}, value.to_host());
      loss.add_gradients(written, verb);
      if (verb.empty()) loss.add_statistics(written);
      all[verb] = {.message = message,
                   .has_written = !is_unwritten(written) || !loss.inputs_intact()};
    };
    const auto destination = [&] { return given.passed("loss", vector(value.data(), outputs)); };
    call("", [&] { loss.forward(context, destination()); });
    call("_backward", [&] {
      loss.backward(context, given.passed("cotangent", vector(cotangent.data(), outputs)));
    });
    call("_with_gradients", [&] { loss.with_gradients(context, destination()); });
    return all;
  }

 private:
  /// True if numbers are still NaN, slots still below −1, and no padding is overwritten.
  static bool is_unwritten(const results& all) {
    return std::all_of(all.all().begin(), all.all().end(), [](const result& one) {
      return std::all_of(one.value.data.begin(), one.value.data.end(), [&](double x) {
        return one.exact ? x == 0 : std::isnan(x) || (one.name == "slots" && x < -1);
      });
    });
  }
};

}  // namespace conformance
