// Runs the conformance cases of nearest and enqueue.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "feaug/queue/nearest.hpp"
#include "feaug/queue/support_queue.hpp"
#include "support/operators/operand_input.hpp"
#include "support/operators/queue_memory.hpp"
#include "support/operators/registry.hpp"

namespace conformance {

/// Searches with `search(outputs, options)` and adds the results.
template <class Backend, class T, class Search>
void add_search(results& got, const std::string& route, feaug::index_t rows, feaug::index_t k,
                const Search& search) {
  const std::vector<feaug::index_t> shape = {rows, k};
  const std::size_t count = element_count(shape);
  typename Backend::template array<feaug::index_t> indices(unwritten_indices(count));
  typename Backend::template array<T> similarities(unwritten<T>(count));
  search({.indices = {indices.data(), rows, k}, .similarities = {similarities.data(), rows, k}},
         {.k = k});
  got.add("indices", shape, indices.to_host(), route);
  got.add("similarities", shape, similarities.to_host(), route);
}

template <class Backend, class T>
results run_nearest(arguments& given) {
  operand_input<Backend, T> queries(given, "queries");
  operand_input<Backend, T> support(given, "support");
  const auto k = given.option<feaug::index_t>("k", 1);
  const feaug::index_t rows = queries.input().shape[0];
  typename Backend::context context;
  queue_memory<Backend, T> queue(support.input());
  using outputs = feaug::nearest_outputs<T, Backend::space>;
  using options = feaug::basic_nearest_options<Backend::space>;
  results got;
  add_search<Backend, T>(got, "among the rows of a matrix", rows, k,
                         [&](const outputs& to, const options& how) {
                           feaug::nearest(context, support.value(), queries.value(), to, how);
                         });
  add_search<Backend, T>(got, "in a queue", rows, k, [&](const outputs& to, const options& how) {
    feaug::nearest(context, queue.view(), queries.value(), to, how);
  });
  return got;
}

/// Runs all steps of the case on one queue.
template <class Backend, class T>
results run_enqueue(arguments& given) {
  const auto capacity = given.option<feaug::index_t>("capacity", 0);
  const auto dim = given.option<feaug::index_t>("dim", 0);
  queue_memory<Backend, T> queue(capacity, dim, given.option("normalize", true));
  typename Backend::context context;
  results got;
  for (int i = 0; given.has("steps[" + std::to_string(i) + "].batch"); ++i) {
    const std::string step = "steps[" + std::to_string(i) + "].";
    operand_input<Backend, T> batch(given, step + "batch");
    feaug::enqueue(context, queue.view(), batch.value());
    got.add(step + "storage", {capacity, dim}, queue.storage());
    got.add_counter(step + "cursor", queue.cursor());
    got.add_counter(step + "size", queue.size());
  }
  return got;
}

template <class Backend, class T>
void add_queue(registry& operators) {
  operators["nearest"] = run_nearest<Backend, T>;
  operators["enqueue"] = run_enqueue<Backend, T>;
}

}  // namespace conformance
