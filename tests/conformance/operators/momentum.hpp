// momentum_update of K tensors at once.
//
// A backend includes its own headers before this one: the function called below is found by the
// type of the context (argument-dependent lookup).
#pragma once

#include <vector>

#include "feaug/step/momentum_update.hpp"
#include "support/operators/arguments.hpp"
#include "support/operators/arrays.hpp"
#include "support/operators/registry.hpp"

namespace conformance {

template <class Backend, class T>
results run_momentum_update(arguments& given) {
  using pair = feaug::momentum_pair<T, T, Backend::space>;
  const tensor& targets = given.input("targets", 3);
  const tensor& online = given.input("online", 3);
  const double momentum = given.option("momentum", 0.0);
  typename Backend::template array<T> to(rounded<T>(targets));
  typename Backend::template array<T> from(rounded<T>(online));
  const feaug::index_t rows = targets.shape.at(1);
  const feaug::index_t cols = targets.shape.at(2);
  std::vector<pair> pairs;
  for (feaug::index_t k = 0; k < targets.shape.at(0); ++k) {
    const feaug::index_t first = k * rows * cols;
    pairs.push_back(
        pair(feaug::matrix_view<T, Backend::space>(to.data() + first, rows, cols),
             feaug::matrix_view<const T, Backend::space>(from.data() + first, rows, cols)));
  }
  typename Backend::context context;
  feaug::momentum_update(context, pairs, momentum);
  results got;
  got.add("out", targets.shape, to.to_host());
  return got;
}

template <class Backend, class T>
void add_momentum(registry& operators) {
  operators["momentum_update"] = run_momentum_update<Backend, T>;
}

}  // namespace conformance
