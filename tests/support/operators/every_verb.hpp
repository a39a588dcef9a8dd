// Runs a case of a loss by its verbs, one after another: the loss alone, the gradients from its
// statistics and a cotangent, and loss and gradients in one go.
#pragma once

#include <cstddef>
#include <stdexcept>
#include <vector>

#include "feaug/core/error.hpp"
#include "feaug/core/reduce.hpp"
#include "support/operators/arguments.hpp"
#include "support/operators/arrays.hpp"
#include "support/operators/results.hpp"

namespace conformance {

/// What each verb wrote, statistics and the state of the padding too. `Loss`: a loss_adapter with
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
    typename backend::context context;
    placed_array<backend, scalar> value(std::vector<scalar>(count, scalar(9)),
                                        given.misplaced("loss"));
    placed_array<backend, scalar> cotangent(
        std::vector<scalar>(count, static_cast<scalar>(given.option("cotangent", 1.0))),
        given.misplaced("cotangent"));
    given.require_all_used();
    const auto destination = [&] { return typename Loss::vector(value.data(), outputs); };
    results got;
    try {
      loss.forward(context, destination());
    } catch (const feaug::argument_error&) {
      if (value.to_host() != std::vector<scalar>(count, scalar(9)))
        throw std::logic_error("the loss was written before its arguments were refused");
      throw;
    }
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
