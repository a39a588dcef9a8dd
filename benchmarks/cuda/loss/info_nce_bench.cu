// Benchmark W2: InfoNCE with the gradients of both sides, 32768 rows of 256 features.
#include "feaug/cuda/loss/info_nce.cuh"
#include "support/bench.cuh"
#include "support/reference.hpp"

namespace {

constexpr double temperature = 0.1;

struct problem {
  bench::matrix queries = bench::features(bench::size(32768), 256, 1);
  bench::matrix keys = bench::other_view(queries, 2);
  bench::reference::contrast want = bench::reference::info_nce(queries, keys, temperature);
};

void run(benchmark::State& state, const bench::precision& precision) {
  static const problem on;
  feaug::cuda_context ctx{.precision = precision.products, .tensor_cores = precision.tensor_cores};
  const bench::device_operand queries(on.queries);
  const bench::device_operand keys(on.keys);
  const bench::device_array<float> loss({0});
  const auto call = [&] {
    feaug::info_nce_with_gradients(ctx, queries.differentiable(), keys.differentiable(),
                                   feaug::device_vector<float>(loss.data(), 1),
                                   {.temperature = temperature});
  };
  call();
  bench::verdict is;
  is.loss(loss.to_host()[0], on.want.loss, precision.tolerance);
  is.close("the gradient by the queries",
           bench::relative_error(queries.gradient(), on.want.by_first.values), precision.tolerance);
  is.close("the gradient by the keys",
           bench::relative_error(keys.gradient(), on.want.by_second.values), precision.tolerance);
  is.must_be_right();
  bench::time_calls(state, ctx, call);
}

}  // namespace

void bench::register_benchmarks() {
  for (const precision& p : precisions())
    add("W2/" + p.name, [p](benchmark::State& state) { run(state, p); });
}
