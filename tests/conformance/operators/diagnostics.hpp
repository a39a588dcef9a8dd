// alignment, uniformity, feature_deviation, neighbour_accuracy, same_sample_share. (effective_rank
// has no case file.)
//
// A backend includes its own headers before this one: the functions called below are found by the
// type of the context (argument-dependent lookup).
#pragma once

#include <vector>

#include "feaug/diagnostics/alignment.hpp"
#include "feaug/diagnostics/feature_deviation.hpp"
#include "feaug/diagnostics/neighbour_share.hpp"
#include "feaug/diagnostics/uniformity.hpp"
#include "support/operators/arguments.hpp"
#include "support/operators/arrays.hpp"
#include "support/operators/operand_input.hpp"
#include "support/operators/registry.hpp"

namespace conformance {

/// Doubles in a backend's memory that a diagnostic writes.
template <class Backend>
class double_output {
 public:
  explicit double_output(feaug::index_t count = 1)
      : count_(count), memory_(unwritten<double>(static_cast<std::size_t>(count))) {}

  [[nodiscard]] feaug::vector_view<double, Backend::space> view() {
    return {memory_.data(), count_};
  }
  [[nodiscard]] std::vector<double> values() const { return memory_.to_host(); }

 private:
  feaug::index_t count_;
  typename Backend::template array<double> memory_;
};

template <class Backend, class T>
results run_alignment(arguments& given) {
  operand_input<Backend, T> a(given, "a");
  operand_input<Backend, T> b(given, "b");
  const feaug::alignment_options options = {.alpha = given.option("alpha", 2.0)};
  typename Backend::context context;
  double_output<Backend> out;
  feaug::alignment(context, a.value(), b.value(), out.view(), options);
  results got;
  got.add("out", {}, out.values());
  return got;
}

template <class Backend, class T>
results run_uniformity(arguments& given) {
  operand_input<Backend, T> x(given, "x");
  const feaug::uniformity_options options = {.t = given.option("t", 2.0)};
  typename Backend::context context;
  double_output<Backend> out;
  feaug::uniformity(context, x.value(), out.view(), options);
  results got;
  got.add("out", {}, out.values());
  return got;
}

template <class Backend, class T>
results run_feature_deviation(arguments& given) {
  operand_input<Backend, T> x(given, "x");
  typename Backend::context context;
  double_output<Backend> out;
  const feaug::index_t features = x.input().shape[1];
  double_output<Backend> deviations(features);
  feaug::feature_deviation(context, x.value(), out.view(), deviations.view());
  results got;
  got.add("out", {}, out.values());
  got.add("deviations", {features}, deviations.values());
  return got;
}

/// `Share` is the operator, called with (context, indices, numbers of the queue, numbers of the
/// queries, output).
template <class Backend, class Share>
results run_neighbour_share(arguments& given, const Share& share) {
  using array = typename Backend::template array<feaug::index_t>;
  using vector = feaug::vector_view<const feaug::index_t, Backend::space>;
  const tensor& indices = given.input("indices", 2);
  const tensor& of_queue = given.input("queue_numbers", 1);
  const tensor& of_queries = given.input("numbers", 1);
  array index_memory(rounded<feaug::index_t>(indices));
  array queue_memory(rounded<feaug::index_t>(of_queue));
  array query_memory(rounded<feaug::index_t>(of_queries));
  typename Backend::context context;
  double_output<Backend> out;
  share(context,
        feaug::matrix_view<const feaug::index_t, Backend::space>(
            index_memory.data(), indices.shape[0], indices.shape[1]),
        vector(queue_memory.data(), of_queue.shape[0]),
        vector(query_memory.data(), of_queries.shape[0]), out.view());
  results got;
  got.add("out", {}, out.values());
  return got;
}

template <class Backend, class T>
void add_diagnostics(registry& operators) {
  operators["alignment"] = run_alignment<Backend, T>;
  operators["uniformity"] = run_uniformity<Backend, T>;
  operators["feature_deviation"] = run_feature_deviation<Backend, T>;
  operators["neighbour_accuracy"] = [](arguments& given) {
    return run_neighbour_share<Backend>(given,
                                        [](auto&&... in) { feaug::neighbour_accuracy(in...); });
  };
  operators["same_sample_share"] = [](arguments& given) {
    return run_neighbour_share<Backend>(given,
                                        [](auto&&... in) { feaug::same_sample_share(in...); });
  };
}

}  // namespace conformance
