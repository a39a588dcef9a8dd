// Benchmark W3: an NNCLR step without the network: a nearest-neighbour search of 4096 targets of
// 256 features among 98304 queue rows, InfoNCE of the predictions with the neighbours, and
// enqueueing the targets.
#include <cstddef>
#include <vector>

#include "feaug/cuda/loss/info_nce.cuh"
#include "feaug/cuda/queue/nearest.cuh"
#include "feaug/cuda/queue/support_queue.cuh"
#include "support/bench.cuh"
#include "support/reference.hpp"

namespace {

using feaug::index_t;

constexpr double temperature = 0.1;

struct problem {
  bench::matrix storage = bench::unit_rows(bench::features(bench::size(98304), 256, 1));
  bench::matrix targets = bench::features(bench::size(4096), 256, 2);
  bench::matrix predictions = bench::other_view(targets, 3);
  bench::reference::nnclr_step want =
      bench::reference::nnclr(storage, 0, targets, predictions, temperature);
};

void run(benchmark::State& state, const bench::precision& precision) {
  static const problem on;
  feaug::cuda_context ctx{.precision = precision.products, .tensor_cores = precision.tensor_cores};
  const bench::device_matrix storage(on.storage);
  const bench::device_array<index_t> counters({0, on.storage.rows});
  const feaug::device_support_queue<float> queue = {
      .storage = storage.view(), .cursor = counters.data(), .size = counters.data() + 1};
  const bench::device_matrix targets(on.targets);
  const bench::device_matrix found(bench::zeros(on.targets.rows, on.targets.cols));
  const bench::device_array<index_t> slots(
      std::vector<index_t>(static_cast<std::size_t>(on.targets.rows)));
  const bench::device_operand predictions(on.predictions);
  const bench::device_array<float> loss({0});
  const auto call = [&] {
    feaug::nearest(ctx, queue, targets.value(),
                   {.indices = {slots.data(), on.targets.rows, 1}, .values = found.view()});
    feaug::info_nce_with_gradients(
        ctx, feaug::stop_gradient(found.value()), predictions.differentiable(),
        feaug::device_vector<float>(loss.data(), 1), {.temperature = temperature});
    feaug::enqueue(ctx, queue, targets.value());
  };
  call();
  bench::verdict is;
  // The search is exact for every product precision of the loss.
  is.close("the neighbours", slots.to_host() == on.want.neighbours ? 0 : 1, 0);
  is.loss(loss.to_host()[0], on.want.loss.loss, precision.tolerance);
  is.close("the gradient by the predictions",
           bench::relative_error(predictions.gradient(), on.want.loss.by_second.values),
           precision.tolerance);
  is.close("the queue", bench::relative_error(storage.to_host(), on.want.storage.values), 1e-6);
  is.must_be_right();
  // The queue as before the call. Otherwise it would soon hold copies of the targets alone, and each
  // query would have many rows at the same distance.
  const bench::device_matrix full(on.storage);
  const bench::device_array<index_t> full_counters({0, on.storage.rows});
  const auto reset = [&] {
    bench::succeed(
        cudaMemcpyAsync(storage.view().data, full.value().data,
                        static_cast<std::size_t>(on.targets.rows * on.targets.cols) * sizeof(float),
                        cudaMemcpyDeviceToDevice, ctx.stream));
    bench::succeed(cudaMemcpyAsync(counters.data(), full_counters.data(), 2 * sizeof(index_t),
                                   cudaMemcpyDeviceToDevice, ctx.stream));
  };
  bench::time_calls(state, ctx, call, reset);
}

}  // namespace

void bench::register_benchmarks() {
  for (const precision& p : precisions())
    add("W3/" + p.name, [p](benchmark::State& state) { run(state, p); });
}
