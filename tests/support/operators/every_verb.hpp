// Runs a loss on a test case with each of its functions (verbs): `f` returns the loss, `f_backward`
// the gradients from its statistics and a cotangent, `f_with_gradients` both.
#pragma once

#include <cstddef>
#include <vector>

#include "feaug/core/reduce.hpp"
#include "support/operators/arguments.hpp"
#include "support/operators/arrays.hpp"
#include "support/operators/results.hpp"

namespace conformance {

/// The cotangent of the loss of row i: neighbouring rows have different ones, some 0 or negative.
inline double cotangent_of(double given, feaug::index_t i) {
  constexpr double factors[] = {1, -2, 0.5, 1.5, 0};
  return given * factors[i % 5];
}

/// Returns all outputs of each function, also the statistics and the number of overwritten padding
/// elements. `Loss`: a loss_adapter with
///   forward(context, loss), backward(context, cotangent), with_gradients(context, loss)
struct every_verb {
  template <class Loss>
  static results run(arguments& given) {
    using backend = typename Loss::backend;
    using scalar = typename Loss::scalar_type;
    Loss loss(given);
    const feaug::index_t outputs =
        loss.reduction() == feaug::reduce::none ? loss.losses() : feaug::index_t{1};
    const auto count = static_cast<std::size_t>(outputs);
    typename backend::context context = backend::context_for(given);
    typename backend::template array<scalar> value(unwritten<scalar>(count));
    std::vector<scalar> cotangents;
    for (feaug::index_t i = 0; i < outputs; ++i)
      cotangents.push_back(static_cast<scalar>(cotangent_of(given.option("cotangent", 1.0), i)));
    typename backend::template array<scalar> cotangent(cotangents);
    given.require_all_used();
    const auto destination = [&] { return typename Loss::vector(value.data(), outputs); };
    results got;
    loss.forward(context, destination());
    got.add("loss", {outputs}, value.to_host(), "forward");
    loss.add_statistics(got);
    loss.backward(context, typename Loss::vector(cotangent.data(), outputs));
    loss.add_gradients(got, "backward");
    value.assign(unwritten<scalar>(count));
    loss.forget_gradients();
    loss.with_gradients(context, destination());
    got.add("loss", {outputs}, value.to_host(), "with_gradients");
    loss.add_gradients(got, "with_gradients");
    return got;
  }
};

}  // namespace conformance
