// Benchmark W6: negative cosine (BYOL) with the prediction's gradient, four targets, 4096 rows of
// 256 features.
#include <vector>

#include "feaug/cuda/loss/negative_cosine.cuh"
#include "support/bench.cuh"
#include "support/reference.hpp"

namespace {

constexpr int targets = 4;

struct problem {
  bench::matrix prediction = bench::features(bench::size(4096), 256, 1);
  std::vector<bench::matrix> targets;
  bench::reference::contrast want;

  problem() {
    for (std::uint32_t k = 0; k < ::targets; ++k)
      targets.push_back(bench::other_view(prediction, 2 + k));
    want = bench::reference::negative_cosine(prediction, targets);
  }
};

void run(benchmark::State& state) {
  static const problem on;
  feaug::cuda_context ctx;
  const bench::device_operand prediction(on.prediction);
  std::vector<bench::device_operand> constants;
  for (const bench::matrix& target : on.targets) constants.emplace_back(target);
  const bench::device_array<float> losses{std::vector<float>(targets)};
  const auto call = [&] {
    for (int k = 0; k < targets; ++k) {
      feaug::negative_cosine_with_gradients(
          ctx, k == 0 ? prediction.differentiable() : prediction.accumulate(),
          constants[static_cast<std::size_t>(k)].stopped(),
          feaug::device_vector<float>(losses.data() + k, 1), {.gradient_scale = 1.0 / targets});
    }
  };
  call();
  double loss = 0;
  for (const float one : losses.to_host()) loss += one / targets;
  bench::verdict is;
  is.loss(loss, on.want.loss, 1e-5);
  is.close("the gradient", bench::relative_error(prediction.gradient(), on.want.by_first.values),
           1e-5);
  is.must_be_right();
  bench::time_calls(state, ctx, call);
}

}  // namespace

void bench::register_benchmarks() { add("W6/fp32", run); }
