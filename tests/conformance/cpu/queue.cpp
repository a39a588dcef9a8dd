// nearest and enqueue.
#include <string>
#include <vector>

#include "cpu_operators.hpp"
#include "feaug/queue/nearest.hpp"
#include "feaug/queue/support_queue.hpp"
#include "matrix.hpp"

namespace conformance::cpu {
namespace {

template <class T>
results nearest(arguments& given) {
  matrix<T> queries = constant<T>(given, "queries");
  matrix<T> support = constant<T>(given, "support");
  const auto k = given.option<std::int64_t>("k", 1);
  std::vector<index_t> indices(static_cast<std::size_t>(queries.rows * k), -2);
  matrix<T> similarities(queries.rows, k);
  feaug::cpu_context ctx{.threads = 2};
  feaug::nearest(ctx, support.view(), queries.view(),
                 {.indices = {indices.data(), queries.rows, k}, .similarities = similarities.view()}, {.k = k});
  results all;
  all.add("indices", {queries.rows, k}, indices);
  all.add("similarities", {queries.rows, k}, similarities.data);
  return all;
}

/// A script: one queue through all steps.
template <class T>
results enqueue(arguments& given) {
  const auto capacity = given.option<std::int64_t>("capacity", 0);
  const auto dim = given.option<std::int64_t>("dim", 0);
  matrix<T> storage(capacity, dim);
  storage.data.assign(storage.data.size(), T{0});
  index_t cursor = 0;
  index_t size = 0;
  const feaug::support_queue<T> queue{.storage = storage.view(),
                                      .cursor = &cursor,
                                      .size = &size,
                                      .normalize = given.option<bool>("normalize", true)};
  feaug::cpu_context ctx{.threads = 2};
  results all;
  for (int step = 0;; ++step) {
    const std::string name = "steps[" + std::to_string(step) + "].";
    if (!given.has(name + "batch")) break;
    matrix<T> batch(given.input(name + "batch", 2));
    feaug::enqueue(ctx, queue, batch.view());
    all.add(name + "storage", {capacity, dim}, storage.data);
    all.add_counter(name + "cursor", cursor);
    all.add_counter(name + "size", size);
  }
  return all;
}

}  // namespace

template <class T>
void add_queue(registry& operators) {
  operators["nearest"] = nearest<T>;
  operators["enqueue"] = enqueue<T>;
}

template void add_queue<double>(registry&);
template void add_queue<float>(registry&);

}  // namespace conformance::cpu
