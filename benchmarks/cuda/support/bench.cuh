// How the benchmarks of the CUDA side are run: refused if the answer is wrong, timed by CUDA events
// behind a cleared cache.
#pragma once

#include <benchmark/benchmark.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <vector>

#include "cuda/support/device_array.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/cuda/core/context.cuh"
#include "support/inputs.hpp"
#include "support/verdict.hpp"

namespace bench {

using device_test::device_array;
using device_test::succeed;

/// --small: shapes that a sanitizer or an executor can bear; their times mean nothing.
inline bool& small() {
  static bool is_small = false;
  return is_small;
}
inline index_t size(index_t full) { return small() ? std::max<index_t>(full / 64, 4) : full; }

/// Calls timed in one benchmark, and the time given is their median.
inline int calls() { return small() ? 2 : 100; }

struct precision {
  std::string name;
  feaug::product_precision products;
  bool tensor_cores;
  double tolerance;  ///< of losses and gradients, relative to the largest or to the norm
};

/// The axis of every workload that multiplies. Tolerances: a few times what operands are rounded
/// by, to 11 or 8 bits; in fp32 room for sums over 65536 columns.
inline std::vector<precision> precisions() {
  using enum feaug::product_precision;
  return {{"fp32", fp32, false, 1e-4},
          {"tf32", tf32, false, 1e-3},
          {"bf16", bf16, false, 1e-2},
          {"bf16-tensor-cores", bf16, true, 1e-2}};
}

/// A matrix in device memory.
class device_matrix {
 public:
  explicit device_matrix(const matrix& host)
      : rows_(host.rows), cols_(host.cols), memory_(host.values) {}

  [[nodiscard]] feaug::device_matrix<const float> value() const {
    return {memory_.data(), rows_, cols_};
  }
  [[nodiscard]] feaug::device_matrix<float> view() const { return {memory_.data(), rows_, cols_}; }
  [[nodiscard]] std::vector<float> to_host() const { return memory_.to_host(); }

 private:
  index_t rows_;
  index_t cols_;
  device_array<float> memory_;
};

/// An input and the place for its gradient.
class device_operand {
 public:
  explicit device_operand(const matrix& host)
      : value_(host), gradient_(zeros(host.rows, host.cols)) {}
  [[nodiscard]] auto differentiable() const {
    return feaug::differentiable(value_.value(), gradient_.view());
  }
  [[nodiscard]] auto accumulate() const {
    return feaug::accumulate(value_.value(), gradient_.view());
  }
  [[nodiscard]] auto stopped() const { return feaug::stop_gradient(value_.value()); }
  [[nodiscard]] std::vector<float> gradient() const { return gradient_.to_host(); }

 private:
  device_matrix value_;
  device_matrix gradient_;
};

/// Two events on a stream.
class stopwatch {
 public:
  explicit stopwatch(cudaStream_t stream) : stream_(stream) {
    succeed(cudaEventCreate(&begin_));
    succeed(cudaEventCreate(&end_));
  }
  ~stopwatch() {
    cudaEventDestroy(begin_);
    cudaEventDestroy(end_);
  }
  stopwatch(const stopwatch&) = delete;
  stopwatch& operator=(const stopwatch&) = delete;

  void start() { succeed(cudaEventRecord(begin_, stream_)); }
  double stop() {
    succeed(cudaEventRecord(end_, stream_));
    succeed(cudaEventSynchronize(end_));
    float milliseconds = 0;
    succeed(cudaEventElapsedTime(&milliseconds, begin_, end_));
    return milliseconds * 1e-3;
  }

 private:
  cudaStream_t stream_;
  cudaEvent_t begin_ = nullptr;
  cudaEvent_t end_ = nullptr;
};

/// Times `call`. Before each one more bytes are written than any second-level cache holds;
/// meanwhile the host gets ahead, so that what is timed is the GPU's time and not the launching.
template <class Call>
void time_calls(benchmark::State& state, const feaug::cuda_context& ctx, const Call& call) {
  const device_array<float> other{std::vector<float>(small() ? 1 : std::size_t{64} << 20)};
  stopwatch watch(ctx.stream);
  for (int i = 0; i < 3; ++i) call();
  std::vector<double> seconds;
  for (auto _ : state) {
    succeed(cudaMemsetAsync(other.data(), 0, other.size() * sizeof(float), ctx.stream));
    watch.start();
    call();
    seconds.push_back(watch.stop());
    state.SetIterationTime(seconds.back());
  }
  std::sort(seconds.begin(), seconds.end());
  state.counters["median_seconds"] = seconds[seconds.size() / 2];
  state.counters["scratch_bytes"] = static_cast<double>(ctx.workspace.peak());
}

/// Whether a benchmark was refused: then the program fails.
inline bool& any_refused() {
  static bool refused = false;
  return refused;
}

/// Registers `run(state)` under a name.
template <class Run>
void add(const std::string& name, const Run& run) {
  benchmark::RegisterBenchmark(name.c_str(),
                               [run](benchmark::State& state) {
                                 try {
                                   run(state);
                                 } catch (const std::exception& problem) {
                                   any_refused() = true;
                                   state.SkipWithError(problem.what());
                                 }
                               })
      ->Iterations(calls())
      ->UseManualTime()
      ->Unit(benchmark::kMicrosecond);
}

/// Registers what this program measures; each program has one.
void register_benchmarks();

}  // namespace bench
