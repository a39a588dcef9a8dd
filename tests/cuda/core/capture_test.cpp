// Every operator can be captured in a CUDA graph; the graph gives the same results as the call.
#include <catch2/catch.hpp>
#include <cstdint>
#include <cstring>
#include <vector>

#include "cuda/support/device_copy.hpp"
#include "feaug/feaug.cuh"
#include "support/every_call.hpp"
#include "support/sanitizer.hpp"

namespace capture_test {

using device_test::device_array;
using device_test::device_copy;
using device_test::succeed;
using feaug::index_t;
using testing::test_matrix;

namespace {

constexpr index_t rows = 6;
constexpr index_t cols = 9;
constexpr index_t capacity = 10;

/// Inputs and all outputs of the operators. Outputs are reset to NaN before every run.
class memory {
 public:
  const device_copy<float> x{test_matrix<float>::normal(rows, cols, 1, 1)};
  const device_copy<float> y{test_matrix<float>::normal(rows, cols, 2)};
  const device_copy<float> out{test_matrix<float>(rows, cols)};
  const device_copy<float> dx{test_matrix<float>(rows, cols)};
  const device_copy<float> dy{test_matrix<float>(rows, cols)};
  const device_array<float> numbers{std::vector<float>(2 * rows)};
  const device_array<float> statistics{std::vector<float>(2 * rows, 1)};      // input
  const device_array<double> potentials{std::vector<double>(2 * cols, 0.5)};  // input and output
  const device_array<double> diagnostics{std::vector<double>(5)};
  const device_array<float> one{std::vector<float>{1}};
  const device_array<index_t> labels{std::vector<index_t>{0, 1, 0, 1, 2, 0}};
  const device_array<index_t> slots{std::vector<index_t>(rows)};
  const device_array<index_t> counters{std::vector<index_t>{0, 0}};
  const device_array<std::uint64_t> step{std::vector<std::uint64_t>{3}};
  const device_copy<float> storage{test_matrix<float>::normal(capacity, cols, 3)};
  /// A running covariance: mean, Σ and its factor, one after the other.
  const device_array<double> moments{std::vector<double>(cols + 2 * cols * cols)};
  const device_array<index_t> seen{std::vector<index_t>{0}};

  [[nodiscard]] every_call::call_arrays<feaug::memory_space::device> arrays() const {
    return {.x = x.const_view(),
            .y = y.const_view(),
            .out = out.view(),
            .dx = dx.view(),
            .dy = dy.view(),
            .storage = storage.view(),
            .counters = {counters.data(), 2},
            .loss_value = {numbers.data(), 1},
            .statistics = {statistics.data(), 2 * rows},
            .potentials = {potentials.data(), 2 * cols},
            .diagnostics = {diagnostics.data(), 5},
            .one = {one.data(), 1},
            .labels = {labels.data(), rows},
            .slots = {slots.data(), rows},
            .moments = {moments.data(), cols + 2 * cols * cols},
            .seen = {seen.data(), 1},
            .step = step.data()};
  }

  void scramble() const {
    const auto nan = [](void* values, std::size_t bytes) {
      succeed(cudaMemsetAsync(values, 0xFF, bytes, nullptr));
    };
    nan(out.view().data, rows * cols * sizeof(float));
    nan(dx.view().data, rows * cols * sizeof(float));
    nan(dy.view().data, rows * cols * sizeof(float));
    nan(numbers.data(), numbers.size() * sizeof(float));
    nan(diagnostics.data(), diagnostics.size() * sizeof(double));
    nan(slots.data(), slots.size() * sizeof(index_t));
    nan(moments.data(), moments.size() * sizeof(double));
    const std::vector<double> halves(2 * cols, 0.5);
    succeed(cudaMemcpy(potentials.data(), halves.data(), 2 * cols * sizeof(double),
                       cudaMemcpyHostToDevice));
    const index_t none = 0;
    succeed(cudaMemcpy(seen.data(), &none, sizeof none, cudaMemcpyHostToDevice));
    const index_t filled[2] = {2, 7};
    succeed(cudaMemcpy(counters.data(), filled, sizeof filled, cudaMemcpyHostToDevice));
    const std::uint64_t third = 3;
    succeed(cudaMemcpy(step.data(), &third, sizeof third, cudaMemcpyHostToDevice));
    succeed(cudaDeviceSynchronize());
  }

  /// All outputs as bytes, so that NaN equals NaN.
  [[nodiscard]] std::vector<unsigned char> state() const {
    std::vector<unsigned char> all;
    const auto add = [&all](const auto& values) {
      const auto* begin = reinterpret_cast<const unsigned char*>(values.data());
      all.insert(all.end(), begin, begin + values.size() * sizeof(values[0]));
    };
    add(out.host().memory());
    add(dx.host().memory());
    add(dy.host().memory());
    add(storage.host().memory());
    add(numbers.to_host());
    add(diagnostics.to_host());
    add(potentials.to_host());
    add(slots.to_host());
    add(counters.to_host());
    add(moments.to_host());
    add(seen.to_host());
    add(step.to_host());
    return all;
  }
};

}  // namespace

TEST_CASE("every operator can be captured", "[cuda][context][capture]") {
  cudaStream_t stream = nullptr;
  succeed(cudaStreamCreate(&stream));
  for (const bool tensor_cores : {false, true}) {
    for (const auto& call : every_call::all_calls<feaug::cuda_context>()) {
      CAPTURE(call.name, tensor_cores);
      const memory m;
      feaug::cuda_context ctx{.stream = stream,
                              .precision = tensor_cores ? feaug::product_precision::bf16
                                                        : feaug::product_precision::fp32,
                              .tensor_cores = tensor_cores};
      m.scramble();
      const auto before = m.state();
      call.run(ctx, m.arrays());
      succeed(cudaStreamSynchronize(stream));
      const auto eager = m.state();
      const bool did_something = eager != before;
      CHECK(did_something);
      if (testing::is_thread_sanitized) continue;  // a graph runs the same kernels again

      m.scramble();
      cudaGraph_t graph = nullptr;
      cudaGraphExec_t executable = nullptr;
      succeed(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
      call.run(ctx, m.arrays());
      succeed(cudaStreamEndCapture(stream, &graph));
      const bool ran_while_captured = m.state() == eager;
      CHECK_FALSE(ran_while_captured);
      succeed(cudaGraphInstantiate(&executable, graph, 0));
      succeed(cudaGraphLaunch(executable, stream));
      succeed(cudaStreamSynchronize(stream));
      const bool same = m.state() == eager;
      CHECK(same);
      cudaGraphExecDestroy(executable);
      cudaGraphDestroy(graph);
    }
  }
  cudaStreamDestroy(stream);
}

}  // namespace capture_test
