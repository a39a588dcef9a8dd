// Benchmark W5: mask, noise and mixing of 8192 rows of 2048 features, compared with a device copy
// of as many bytes.
#include "feaug/cuda/augment/augmentation.cuh"
#include "feaug/cuda/augment/mask.cuh"
#include "feaug/cuda/augment/mix.cuh"
#include "feaug/cuda/augment/noise.cuh"
#include "support/bench.cuh"
#include "support/reference.hpp"

namespace {

constexpr std::uint64_t seed = 7;

const bench::matrix& input() {
  static const bench::matrix x = bench::features(bench::size(8192), 2048, 1);
  return x;
}

template <class Policy>
void run(benchmark::State& state, const Policy& policy) {
  const bench::matrix want = bench::reference::augment(policy, input(), seed);
  feaug::cuda_context ctx;
  const bench::device_matrix x(input());
  const bench::device_matrix out(bench::zeros(want.rows, want.cols));
  const auto call = [&] {
    feaug::augment(ctx, policy, x.value(), feaug::random_key{.seed = seed}, out.view());
  };
  call();
  bench::verdict is;
  is.close("the output", bench::relative_error(out.to_host(), want.values), 1e-6);
  is.must_be_right();
  bench::time_calls(state, ctx, call);
}

void copy(benchmark::State& state) {
  const feaug::cuda_context ctx;
  const bench::device_matrix x(input());
  const bench::device_matrix out(bench::zeros(input().rows, input().cols));
  bench::time_calls(state, ctx, [&] {
    bench::succeed(cudaMemcpyAsync(out.view().data, x.value().data,
                                   input().values.size() * sizeof(float), cudaMemcpyDeviceToDevice,
                                   ctx.stream));
  });
}

}  // namespace

void bench::register_benchmarks() {
  add("W5/copy/fp32", copy);
  add("W5/mask/fp32", [](benchmark::State& state) { run(state, feaug::mask{}); });
  add("W5/noise/fp32", [](benchmark::State& state) { run(state, feaug::gaussian_noise{}); });
  add("W5/interpolate/fp32", [](benchmark::State& state) { run(state, feaug::interpolate{}); });
}
