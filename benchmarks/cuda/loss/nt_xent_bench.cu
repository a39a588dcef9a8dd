// Benchmark W1: NT-Xent (SimCLR) with both gradients, two views of 4096 rows of 128 features.
#include "feaug/cuda/loss/nt_xent.cuh"
#include "support/bench.cuh"
#include "support/reference.hpp"

namespace {

constexpr double temperature = 0.1;

struct problem {
  bench::matrix a = bench::features(bench::size(4096), 128, 1);
  bench::matrix b = bench::other_view(a, 2);
  bench::reference::contrast want = bench::reference::nt_xent(a, b, temperature);
};

void run(benchmark::State& state, const bench::precision& precision) {
  static const problem on;
  feaug::cuda_context ctx{.precision = precision.products, .tensor_cores = precision.tensor_cores};
  const bench::device_operand a(on.a);
  const bench::device_operand b(on.b);
  const bench::device_array<float> loss({0});
  const auto call = [&] {
    feaug::nt_xent_with_gradients(ctx, a.differentiable(), b.differentiable(),
                                  feaug::device_vector<float>(loss.data(), 1),
                                  {.temperature = temperature});
  };
  call();
  bench::verdict is;
  is.loss(loss.to_host()[0], on.want.loss, precision.tolerance);
  is.close("the gradient by a", bench::relative_error(a.gradient(), on.want.by_first.values),
           precision.tolerance);
  is.close("the gradient by b", bench::relative_error(b.gradient(), on.want.by_second.values),
           precision.tolerance);
  is.must_be_right();
  bench::time_calls(state, ctx, call);
}

}  // namespace

void bench::register_benchmarks() {
  for (const precision& p : precisions())
    add("W1/" + p.name, [p](benchmark::State& state) { run(state, p); });
}
