// main of the CUDA benchmarks: Google Benchmark's, with --small. Without a GPU it prints that it
// skipped.
#include <cstdio>
#include <string_view>

#include "cuda/support/has_device.hpp"
#include "support/bench.cuh"

int main(int count, char** words) {
  if (!device_test::has_device()) {
    std::puts("skipped: no CUDA device");
    return device_test::skipped;
  }
  int kept = 1;
  for (int i = 1; i < count; ++i) {
    if (std::string_view(words[i]) == "--small") {
      bench::small() = true;
    } else {
      words[kept++] = words[i];
    }
  }
  benchmark::Initialize(&kept, words);
  if (benchmark::ReportUnrecognizedArguments(kept, words)) return 2;
  cudaDeviceProp device{};
  int driver = 0;
  bench::succeed(cudaGetDeviceProperties(&device, 0));
  bench::succeed(cudaDriverGetVersion(&driver));
  benchmark::AddCustomContext("device", device.name);
  benchmark::AddCustomContext("driver_cuda", std::to_string(driver));
  bench::register_benchmarks();
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return bench::any_refused() ? 1 : 0;
}
