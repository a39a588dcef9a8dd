// Benchmark W4: MoCo's loss with the queries' gradient; keys and 65536 negatives of 128 features
// are constants of norm 1. (PyTorch's code for MoCo uses them as they are; feaug normalises them
// again in every call.)
#include "feaug/cuda/loss/info_nce.cuh"
#include "support/bench.cuh"
#include "support/reference.hpp"

namespace {

constexpr double temperature = 0.1;

template <bench::index_t Queries>
struct problem {
  bench::matrix queries = bench::features(bench::size(Queries), 128, 1);
  bench::matrix keys = bench::unit_rows(bench::other_view(queries, 2));
  bench::matrix negatives = bench::unit_rows(bench::features(bench::size(65536), 128, 3));
  bench::reference::contrast want = bench::reference::moco(queries, keys, negatives, temperature);
};

template <bench::index_t Queries>
void run(benchmark::State& state, const bench::precision& precision) {
  static const problem<Queries> on;
  feaug::cuda_context ctx{.precision = precision.products, .tensor_cores = precision.tensor_cores};
  const bench::device_operand queries(on.queries);
  const bench::device_operand keys(on.keys);
  const bench::device_matrix negatives(on.negatives);
  const bench::device_array<float> loss({0});
  const auto call = [&] {
    feaug::info_nce_with_gradients(ctx, queries.differentiable(), keys.stopped(),
                                   feaug::device_vector<float>(loss.data(), 1),
                                   {.temperature = temperature,
                                    .in_batch_negatives = false,
                                    .negatives = feaug::stop_gradient(negatives.value())});
  };
  call();
  bench::verdict is;
  is.loss(loss.to_host()[0], on.want.loss, precision.tolerance);
  is.close("the gradient by the queries",
           bench::relative_error(queries.gradient(), on.want.by_first.values), precision.tolerance);
  is.must_be_right();
  bench::time_calls(state, ctx, call);
}

}  // namespace

void bench::register_benchmarks() {
  for (const precision& p : precisions()) {
    add("W4/256/" + p.name, [p](benchmark::State& state) { run<256>(state, p); });
    add("W4/4096/" + p.name, [p](benchmark::State& state) { run<4096>(state, p); });
  }
}
