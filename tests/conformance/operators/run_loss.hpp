// Runs a loss for a case in two ways: forward, then backward from the statistics; and loss with
// gradients in one call.
#pragma once

#include <cstddef>
#include <vector>

#include "feaug/core/element.hpp"
#include "feaug/core/reduce.hpp"
#include "support/operators/arguments.hpp"
#include "support/operators/arrays.hpp"
#include "support/operators/results.hpp"

namespace conformance {

/// `Loss` is constructed from a case and has
///   backend, value_type           // the element type under test
///   reduction(), losses()         // its reduction; its number of row losses
///   wants_gradient(), forget_gradients(), add_gradients(results&, route), weigh_rows(weights)
///   forward(context, loss), backward(context, cotangent), with_gradients(context, loss)
/// where loss, cotangent and weights are vector views. It stores the statistics between forward and
/// backward.
struct by_both_routes {
  template <class Loss>
  static results run(arguments& given) {
    using backend = typename Loss::backend;
    using scalar_type = feaug::compute_t<typename Loss::value_type>;
    using array = typename backend::template array<scalar_type>;
    using vector = feaug::vector_view<scalar_type, backend::space>;

    Loss loss(given);
    const bool per_row = loss.reduction() == feaug::reduce::none;
    const feaug::index_t outputs = per_row ? loss.losses() : 1;
    const auto count = static_cast<std::size_t>(outputs);
    const std::vector<feaug::index_t> shape =
        per_row ? std::vector<feaug::index_t>{outputs} : std::vector<feaug::index_t>{};
    typename backend::context context;
    results got;

    array value(unwritten<scalar_type>(count));
    loss.forward(context, vector(value.data(), outputs));
    got.add("loss", shape, value.to_host(), "forward");

    value.assign(unwritten<scalar_type>(count));
    loss.with_gradients(context, vector(value.data(), outputs));
    got.add("loss", shape, value.to_host(), "with_gradients");
    if (!loss.wants_gradient()) return got;
    // With one loss per row, these gradients are for cotangents of 1. The case's cotangents are
    // passed as row weights below.
    if (!per_row) loss.add_gradients(got, "with_gradients");

    array cotangent(per_row ? rounded<scalar_type>(given.input("grad_out", 1))
                            : std::vector<scalar_type>{1});
    const vector cotangent_view(
        cotangent.data(),
        per_row ? static_cast<feaug::index_t>(given.input("grad_out").data.size()) : 1);
    loss.forget_gradients();
    loss.backward(context, cotangent_view);
    loss.add_gradients(got, "backward");
    if (per_row) {
      loss.forget_gradients();
      loss.weigh_rows(cotangent_view);
      loss.with_gradients(context, vector(value.data(), outputs));
      loss.add_gradients(got, "with_gradients");
    }
    return got;
  }
};

}  // namespace conformance
