// Harness of the CUDA benchmarks: it refuses to time wrong results, and times with CUDA events
// after the cache was flushed.
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

/// --small: shapes small enough for a sanitizer or a GPU emulator; their times are meaningless.
inline bool& small() {
  static bool is_small = false;
  return is_small;
}
inline index_t size(index_t full) { return small() ? std::max<index_t>(full / 64, 4) : full; }

/// Timed calls per benchmark; the reported time is their median.
inline int calls() { return small() ? 2 : 100; }

struct precision {
  std::string name;
  feaug::product_precision products;
  bool tensor_cores;
  double tolerance;  ///< relative error of losses, and of gradients by norm
};

/// The precisions of every workload with matrix products. Tolerances are a few times the rounding
/// error of operands with 11 or 8 bits; fp32 allows for sums over 65536 columns.
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

/// An input and the destination of its gradient.
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

/// Times a stretch of a stream with two events.
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

/// Times `call`. Before each call, `reset` restores what the call before it has changed, and more
/// bytes are written than an L2 cache holds. During this write the host enqueues the call, so that
/// launch overhead is not timed.
template <class Call, class Reset>
void time_calls(benchmark::State& state, const feaug::cuda_context& ctx, const Call& call,
                const Reset& reset) {
  const device_array<float> other{std::vector<float>(small() ? 1 : std::size_t{64} << 20)};
  stopwatch watch(ctx.stream);
  for (int i = 0; i < 3; ++i) {
    reset();
    call();
  }
  std::vector<double> seconds;
  for (auto _ : state) {
    reset();
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

/// The same for calls that change nothing but their outputs.
template <class Call>
void time_calls(benchmark::State& state, const feaug::cuda_context& ctx, const Call& call) {
  time_calls(state, ctx, call, [] {});
}

/// Whether a benchmark was refused; the program then fails.
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

/// Registers the program's benchmarks; each program defines it.
void register_benchmarks();

}  // namespace bench
