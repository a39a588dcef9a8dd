#include <catch2/catch.hpp>
#include <cmath>
#include <string>
#include <vector>

#include "simt/planted_faults.hpp"
#include "support/sanitizer.hpp"

namespace simt_test {
namespace {

/// An array of `count` floats in device memory, and its copy on the host.
class floats {
 public:
  explicit floats(std::size_t count) : count_(count) {
    void* memory = nullptr;
    REQUIRE(cudaMalloc(&memory, count * sizeof(float)) == cudaSuccess);
    memory_ = static_cast<float*>(memory);
  }
  ~floats() { cudaFree(memory_); }
  floats(const floats&) = delete;
  floats& operator=(const floats&) = delete;

  [[nodiscard]] float* device() const { return memory_; }
  [[nodiscard]] std::vector<float> host() const {
    std::vector<float> copy(count_);
    cudaMemcpy(copy.data(), memory_, count_ * sizeof(float), cudaMemcpyDeviceToHost);
    return copy;
  }

 private:
  std::size_t count_;
  float* memory_ = nullptr;
};

/// The executor's report on 64 threads of `kernel`: runs it in several orders until one gives no
/// error ("nothing").
std::string said_of(void (*kernel)(float*)) {
  std::string said;
  for (const auto order : {simt::schedule::warp_by_warp, simt::schedule::reverse,
                           simt::schedule::shuffled, simt::schedule::forward}) {
    simt::current_settings().order = order;
    const floats out(64);
    try {
      simt::launch(nullptr, kernel, 1, 64, 64 * sizeof(float), out.device());
      said = "nothing";
    } catch (const simt::error& problem) {
      said = problem.what();
    }
    if (said == "nothing") break;
  }
  simt::current_settings().order = simt::schedule::forward;
  return said;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

__global__ void sum_of_warp(const float* x, float* out) {
  float sum = x[threadIdx.x];
  for (int distance = 16; distance > 0; distance /= 2) sum += __shfl_xor_sync(~0U, sum, distance);
  const unsigned even = __ballot_sync(~0U, threadIdx.x % 2 == 0);
  const float above = __shfl_down_sync(~0U, x[threadIdx.x], 1);
  const float below = __shfl_up_sync(~0U, x[threadIdx.x], 1);
  if (threadIdx.x == 7) {
    out[0] = sum;
    out[1] = static_cast<float>(__popc(even));
    out[2] = above;
    out[3] = below;
  }
}

__global__ void place_of_thread(float* out) {
  const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  out[block * blockDim.x * blockDim.y * blockDim.z + thread] = static_cast<float>(thread);
}

__global__ void add_one(float* x) { x[threadIdx.x] += 1; }

__global__ void count_above(const float* x, float* out) {
  const int any = __syncthreads_or(x[threadIdx.x] > 62);
  if (threadIdx.x == 0) out[0] = static_cast<float>(any);
}

}  // namespace

TEST_CASE("a right kernel gives the same in every order", "[simt]") {
  for (const auto order : {simt::schedule::forward, simt::schedule::reverse,
                           simt::schedule::shuffled, simt::schedule::warp_by_warp}) {
    simt::current_settings().order = order;
    const floats out(64);
    simt::launch(nullptr, simt_faults::right, 1, 64, 64 * sizeof(float), out.device());
    const std::vector<float> got = out.host();
    for (std::size_t i = 0; i < 64; ++i) CHECK(got[i] == static_cast<float>(63 - i));
  }
  simt::current_settings().order = simt::schedule::forward;
}

TEST_CASE("grids and blocks have three axes", "[simt]") {
  const floats out(std::size_t{2} * 3 * 2 * 4 * 2 * 3);
  simt::launch(nullptr, place_of_thread, dim3(2, 3, 2), dim3(4, 2, 3), 0, out.device());
  const std::vector<float> got = out.host();
  for (std::size_t i = 0; i < got.size(); ++i) CHECK(got[i] == static_cast<float>(i % 24));
}

TEST_CASE("warps shuffle and vote", "[simt]") {
  const floats x(64);
  const floats out(4);
  simt::launch(nullptr, place_of_thread, 1, 64, 0, x.device());
  simt::launch(nullptr, sum_of_warp, 1, 32, 0, x.device(), out.device());
  CHECK(out.host() == std::vector<float>{496, 16, 8, 6});
  simt::launch(nullptr, count_above, 1, 64, 0, x.device(), out.device());
  CHECK(out.host()[0] == 1);
}

TEST_CASE("planted faults are reported with their places", "[simt]") {
  CHECK(said_of(simt_faults::right) == "nothing");
  const std::string branch = said_of(simt_faults::barrier_in_a_branch);
  CHECK(contains(branch, "different barriers"));
  CHECK(contains(branch, "planted_faults.hpp:"));
  CHECK(contains(said_of(simt_faults::barrier_that_some_never_reach), "never reaches"));
  CHECK(contains(said_of(simt_faults::shuffle_that_some_never_reach), "have left the kernel"));
  CHECK(contains(said_of(simt_faults::shuffle_outside_its_mask), "not in its mask"));
  CHECK(contains(said_of(simt_faults::shuffle_from_outside_its_mask), "reads lane 20"));
  CHECK(contains(said_of(simt_faults::different_warp_operations), "different operations"));
  CHECK(said_of(simt_faults::deadlock) != "nothing");
}

TEST_CASE("what nobody wrote is NaN", "[simt]") {
  const floats fresh(4);
  for (const float value : fresh.host()) CHECK(std::isnan(value));
  const floats out(64);
  simt::launch(nullptr, simt_faults::unwritten_shared_memory, 1, 64, 64 * sizeof(float),
               out.device());
  const std::vector<float> got = out.host();
  for (std::size_t i = 0; i < 64; ++i) CHECK(std::isnan(got[i]) == (i == 5));
}

TEST_CASE("a warp that runs ahead shows a missing barrier between warps", "[simt]") {
#if !defined(FEAUG_TEST_TSAN)
  simt::current_settings().order = simt::schedule::warp_by_warp;
  const floats out(64);
  simt::launch(nullptr, simt_faults::second_barrier_missing, 1, 64, 64 * sizeof(float),
               out.device());
  simt::current_settings() = {};
  const std::vector<float> got = out.host();
  bool wrong = false;
  for (std::size_t i = 0; i < 64; ++i) wrong = wrong || !(got[i] == static_cast<float>(i ^ 33U));
  CHECK(wrong);
#endif
}

TEST_CASE("a missing barrier shows in some order", "[simt]") {
  // (A sanitizer would abort here; fault.cpp tests that.)
#if !defined(FEAUG_TEST_TSAN)
  bool wrong = false;
  for (const auto order : {simt::schedule::forward, simt::schedule::reverse}) {
    simt::current_settings().order = order;
    const floats out(64);
    simt::launch(nullptr, simt_faults::race, 1, 64, 64 * sizeof(float), out.device());
    const std::vector<float> got = out.host();
    for (std::size_t i = 0; i < 64; ++i) wrong = wrong || !(got[i] == static_cast<float>(i ^ 33U));
  }
  simt::current_settings().order = simt::schedule::forward;
  CHECK(wrong);
#endif
}

TEST_CASE("blocks of a bad size are refused", "[simt]") {
  const floats out(64);
  CHECK_THROWS_AS(simt::launch(nullptr, add_one, 1, 1025, 0, out.device()), simt::error);
  CHECK_THROWS_AS(simt::launch(nullptr, add_one, 0, 1, 0, out.device()), simt::error);
}

TEST_CASE("a captured stream runs its work when the graph is launched", "[simt]") {
  const floats x(8);
  cudaMemsetAsync(x.device(), 0, 8 * sizeof(float), nullptr);
  cudaStream_t stream = nullptr;
  cudaStreamCreate(&stream);
  cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal);
  simt::launch(stream, add_one, 1, 8, 0, x.device());
  void* memory = nullptr;
  CHECK(cudaMallocAsync(&memory, 8, stream) == cudaErrorStreamCaptureUnsupported);
  CHECK(cudaStreamSynchronize(stream) == cudaErrorStreamCaptureUnsupported);
  cudaGraph_t graph = nullptr;
  cudaStreamEndCapture(stream, &graph);
  CHECK(x.host()[0] == 0);
  cudaGraphExec_t executable = nullptr;
  cudaGraphInstantiate(&executable, graph, 0);
  for (int i = 0; i < 3; ++i) cudaGraphLaunch(executable, stream);
  CHECK(x.host()[7] == 3);
  cudaGraphExecDestroy(executable);
  cudaGraphDestroy(graph);
  cudaStreamDestroy(stream);
}

TEST_CASE("device memory is told from the host's, and counted", "[simt]") {
  int on_host = 0;
  const std::size_t before = simt::device_bytes();
  const floats x(10);
  cudaPointerAttributes attributes{};
  cudaPointerGetAttributes(&attributes, x.device() + 9);
  CHECK(attributes.type == cudaMemoryTypeDevice);
  cudaPointerGetAttributes(&attributes, &on_host);
  CHECK(attributes.type == cudaMemoryTypeUnregistered);
  CHECK(simt::device_bytes() - before == 10 * sizeof(float));
  CHECK(cudaFree(&on_host) == cudaErrorInvalidValue);
}

}  // namespace simt_test
