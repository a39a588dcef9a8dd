// Guarantees of cuda_context: no allocation after warm-up, graph capture, every CUDA call checked,
// the caller's own memory resource.
#include "feaug/cuda/core/context.cuh"

#include <algorithm>
#include <catch2/catch.hpp>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "cuda/support/device_copy.hpp"
#include "feaug/feaug.cuh"
#include "support/message_of.hpp"

namespace context_test {

using device_test::device_array;
using device_test::device_copy;
using feaug::index_t;
using testing::test_matrix;

namespace {

/// A training step that uses every kind of operator. State that changes between steps is in device
/// memory.
class training_step {
 public:
  training_step(cudaStream_t stream, bool tensor_cores)
      : ctx_{.stream = stream,
             .precision =
                 tensor_cores ? feaug::product_precision::bf16 : feaug::product_precision::fp32,
             .tensor_cores = tensor_cores} {}

  void run() {
    const feaug::device_support_queue<float> queue = {
        .storage = storage_.view(), .cursor = cursor_.data(), .size = size_.data()};
    const feaug::random_key key = {.seed = 3, .device_step = step_.data()};
    const auto z = differentiable(z_.const_view(), dz_.view());
    feaug::no_predictor none;
    feaug::step(ctx_, {.architecture = feaug::architecture::basic}, z,
                feaug::stop_gradient(z_.const_view()), none,
                feaug::compose(feaug::mask{.keep_probability = 0.5F}, feaug::interpolate{}), key,
                feaug::device_vector<float>(loss_.data(), 1));
    feaug::augment(ctx_,
                   feaug::neighbour_from(queue, {.fallback = feaug::neighbour_fallback::query}),
                   z_.const_view(), key, neighbours_.view());
    feaug::info_nce_with_gradients(
        ctx_, feaug::stop_gradient(neighbours_.view()), accumulate(z_.const_view(), dz_.view()),
        feaug::device_vector<float>(loss_.data() + 1, 1),
        {.learnable_temperature =
             differentiable(feaug::device_vector<const float>(temperature_.data(), 1),
                            feaug::device_vector<float>(temperature_.data() + 1, 1))});
    feaug::nt_xent_with_gradients(ctx_, z, feaug::stop_gradient(neighbours_.view()),
                                  feaug::device_vector<float>(loss_.data() + 2, 1));
    feaug::enqueue(ctx_, queue, z_.const_view());
    feaug::advance_step(ctx_, step_.data());
  }

  [[nodiscard]] std::vector<double> state() const {
    std::vector<double> all;
    const auto add = [&](const auto& values) {
      all.insert(all.end(), values.begin(), values.end());
    };
    add(loss_.to_host());
    add(temperature_.to_host());
    add(dz_.host().values());
    add(cursor_.to_host());
    add(size_.to_host());
    add(step_.to_host());
    return all;
  }

 private:
  feaug::cuda_context ctx_;
  device_copy<float> z_{test_matrix<float>::normal(6, 9, 1, 1)};
  device_copy<float> dz_{test_matrix<float>(6, 9)};
  device_copy<float> neighbours_{test_matrix<float>(6, 9)};
  device_copy<float> storage_{test_matrix<float>(10, 9)};
  device_array<index_t> cursor_{{0}};
  device_array<index_t> size_{{0}};
  device_array<std::uint64_t> step_{{0}};
  device_array<float> loss_{{0, 0, 0}};
  device_array<float> temperature_{{0.2F, 0}};
};

class stream {
 public:
  stream() { device_test::succeed(cudaStreamCreate(&stream_)); }
  ~stream() { cudaStreamDestroy(stream_); }
  stream(const stream&) = delete;
  stream& operator=(const stream&) = delete;
  [[nodiscard]] cudaStream_t get() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

}  // namespace

TEST_CASE("a captured step gives the same results as three calls", "[cuda][context]") {
  const bool tensor_cores = GENERATE(false, true);
  CAPTURE(tensor_cores);
  const stream on;
  training_step eager(on.get(), tensor_cores);
  training_step captured(on.get(), tensor_cores);
  std::vector<std::vector<double>> want;
  for (int i = 0; i < 4; ++i) {
    eager.run();
    device_test::succeed(cudaStreamSynchronize(on.get()));
    want.push_back(eager.state());
  }
  CHECK(want[1] != want[2]);  // draws and queue change from step to step

  captured.run();  // warm-up: step 0
  device_test::succeed(cudaStreamSynchronize(on.get()));
  CHECK(captured.state() == want[0]);
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  device_test::succeed(cudaStreamBeginCapture(on.get(), cudaStreamCaptureModeGlobal));
  captured.run();
  device_test::succeed(cudaStreamEndCapture(on.get(), &graph));
  device_test::succeed(cudaGraphInstantiate(&executable, graph, 0));
  CHECK(captured.state() == want[0]);  // capturing runs nothing
  for (std::size_t i = 1; i < 4; ++i) {
    device_test::succeed(cudaGraphLaunch(executable, on.get()));
    device_test::succeed(cudaStreamSynchronize(on.get()));
    CHECK(captured.state() == want[i]);
  }
  cudaGraphExecDestroy(executable);
  cudaGraphDestroy(graph);
}

TEST_CASE("scratch memory is allocated once", "[cuda][context]") {
  struct counting : feaug::device_memory_resource {
    int taken = 0;
    int held = 0;
    void* allocate(std::size_t bytes, cudaStream_t /*stream*/) override {
      void* memory = nullptr;
      if (cudaMalloc(&memory, bytes) != cudaSuccess) return nullptr;
      ++taken;
      ++held;
      return memory;
    }
    void deallocate(void* memory, std::size_t /*bytes*/, cudaStream_t /*stream*/) override {
      --held;
      cudaFree(memory);
    }
  };
  counting memory;
  {
    feaug::cuda_context ctx{.resource = &memory};
    const device_copy<double> x(test_matrix<double>::normal(20, 7, 1));
    const device_copy<double> dx(test_matrix<double>(20, 7));
    const device_array<double> loss({0});
    const auto call = [&] {
      feaug::info_nce_with_gradients(ctx, feaug::differentiable(x.const_view(), dx.view()),
                                     feaug::stop_gradient(x.const_view()),
                                     feaug::device_vector<double>(loss.data(), 1));
    };
    call();
    call();
    const int after_warm_up = memory.taken;
    CHECK(after_warm_up > 0);
    CHECK(memory.held == 1);  // one block for all scratch memory of the call
    for (int i = 0; i < 3; ++i) call();
    CHECK(memory.taken == after_warm_up);
  }
  CHECK(memory.held == 0);
}

TEST_CASE("scratch memory is not allocated during stream capture", "[cuda][context]") {
  const stream on;
  feaug::cuda_context ctx{.stream = on.get()};
  const device_copy<float> x(test_matrix<float>::normal(4, 4, 1));
  cudaGraph_t graph = nullptr;
  device_test::succeed(cudaStreamBeginCapture(on.get(), cudaStreamCaptureModeGlobal));
  std::string message;
  try {
    feaug::l2_normalize(ctx, x.const_view(), x.view());
  } catch (const feaug::cuda_error& error) {
    message = error.what();
  }
  cudaStreamEndCapture(on.get(), &graph);
  if (graph != nullptr) cudaGraphDestroy(graph);
  CHECK(message.find("l2_normalize: scratch memory while the stream is captured") == 0);
}

namespace {

/// The message of a bad argument or of a failed CUDA call; empty if there is neither.
template <class Call>
std::string error_of(const Call& call) {
  try {
    return testing::message_of(call);
  } catch (const feaug::cuda_error& error) {
    return error.what();
  }
}

/// error_of a call that needs scratch memory.
std::string normalize(feaug::cuda_context& ctx, const device_copy<float>& x) {
  return error_of([&] { feaug::l2_normalize(ctx, x.const_view(), x.view()); });
}

}  // namespace

TEST_CASE("a captured graph keeps its scratch memory when larger calls follow", "[cuda][context]") {
  const stream on;
  feaug::cuda_context ctx{.stream = on.get()};
  const device_copy<float> x(test_matrix<float>::normal(4, 8, 1));
  const device_copy<float> out(test_matrix<float>(4, 8));
  const auto call = [&] { feaug::l2_normalize(ctx, x.const_view(), out.view()); };
  call();
  device_test::succeed(cudaStreamSynchronize(on.get()));
  const std::vector<double> want = out.host().values();
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  device_test::succeed(cudaStreamBeginCapture(on.get(), cudaStreamCaptureModeGlobal));
  call();
  device_test::succeed(cudaStreamEndCapture(on.get(), &graph));
  device_test::succeed(cudaGraphInstantiate(&executable, graph, 0));
  const std::size_t held = ctx.workspace.capacity();

  const device_copy<float> large(test_matrix<float>::normal(500, 8, 2));
  for (int i = 0; i < 2; ++i) CHECK(normalize(ctx, large).empty());
  // Had the graph's memory been freed, it would be given to others now.
  const device_array<float> others(std::vector<float>(held / sizeof(float), 7.0F));
  device_test::succeed(cudaMemsetAsync(out.view().data, 0xFF, 8, on.get()));
  device_test::succeed(cudaGraphLaunch(executable, on.get()));
  device_test::succeed(cudaStreamSynchronize(on.get()));
  CHECK(out.host().values() == want);
  const std::vector<float> left = others.to_host();
  CHECK(std::all_of(left.begin(), left.end(), [](float each) { return each == 7.0F; }));
  cudaGraphExecDestroy(executable);
  cudaGraphDestroy(graph);
}

TEST_CASE("a context stays on the stream of its first call until it is reset", "[cuda][context]") {
  const stream first;
  const stream second;
  const device_copy<float> x(test_matrix<float>::normal(4, 8, 1));
  feaug::cuda_context ctx{.stream = first.get()};
  ctx.reset();  // nothing to do
  CHECK(normalize(ctx, x).empty());
  const std::vector<double> before = x.host().values();
  ctx.stream = second.get();
  const std::string message = normalize(ctx, x);
  CHECK(message.find("l2_normalize: context.stream: got stream 0x") == 0);
  CHECK(message.find(", wanted stream 0x") != std::string::npos);
  CHECK(message.find("cuda_context::reset()") != std::string::npos);
  CHECK(x.host().values() == before);
  ctx.stream = nullptr;
  CHECK(normalize(ctx, x).find("got the default stream, wanted stream 0x") != std::string::npos);

  ctx.stream = second.get();
  ctx.reset();
  CHECK(ctx.workspace.capacity() == 0);
  CHECK(normalize(ctx, x).empty());

  cudaGraph_t graph = nullptr;
  device_test::succeed(cudaStreamBeginCapture(second.get(), cudaStreamCaptureModeGlobal));
  CHECK(error_of([&] { ctx.reset(); }).find("cuda_context::reset: the stream is captured") == 0);
  cudaStreamEndCapture(second.get(), &graph);
  if (graph != nullptr) cudaGraphDestroy(graph);
}

TEST_CASE("an earlier CUDA error is reported as such and stays", "[cuda][context]") {
  const device_copy<float> x(test_matrix<float>::normal(4, 8, 1));
  feaug::cuda_context ctx;
  void* nothing = nullptr;
  CHECK(cudaMalloc(&nothing, std::size_t{1} << 60) == cudaErrorMemoryAllocation);
  CHECK(normalize(ctx, x) ==
        "l2_normalize: an earlier CUDA call outside feaug failed: out of memory "
        "(cudaErrorMemoryAllocation)");
  CHECK(cudaGetLastError() == cudaErrorMemoryAllocation);
  CHECK(normalize(ctx, x).empty());
}

#if defined(FEAUG_SIMT)
TEST_CASE("an error that feaug throws is not left for others", "[cuda][context]") {
  const device_copy<float> x(test_matrix<float>::normal(4, 8, 1));
  feaug::cuda_context ctx;
  simt::last_error() = cudaErrorNotReady;  // the answer of a query
  CHECK(normalize(ctx, x).empty());
  CHECK(cudaGetLastError() == cudaSuccess);
  simt::next_failure() = {.calls = 4, .error = cudaErrorInvalidConfiguration};
  CHECK(normalize(ctx, x).find("cudaErrorInvalidConfiguration") != std::string::npos);
  simt::next_failure() = {};
  CHECK(cudaGetLastError() == cudaSuccess);
}

TEST_CASE("a context and the memory of its calls belong to one GPU", "[cuda][context]") {
  const device_copy<float> on_first(test_matrix<float>::normal(4, 8, 1));
  feaug::cuda_context ctx;
  CHECK(normalize(ctx, on_first).empty());
  device_test::succeed(cudaSetDevice(1));
  const device_copy<float> on_second(test_matrix<float>::normal(4, 8, 1));
  const std::string moved = normalize(ctx, on_second);
  feaug::cuda_context other;
  CHECK(normalize(other, on_second).empty());
  const std::string foreign = normalize(other, on_first);
  device_test::succeed(cudaSetDevice(0));
  CHECK(moved.find("l2_normalize: the current GPU: got 1, wanted 0, as in the context's") == 0);
  CHECK(foreign == "l2_normalize: x: got memory of GPU 0, wanted memory of the current GPU, 1");
  other.reset();  // although its GPU is not the current one
  CHECK(other.workspace.capacity() == 0);
  int now = 1;
  device_test::succeed(cudaGetDevice(&now));
  CHECK(now == 0);
}

TEST_CASE("a context can outlive its stream", "[cuda][context]") {
  const device_copy<float> x(test_matrix<float>::normal(4, 8, 1));
  const std::size_t before = simt::device_bytes();
  {
    auto on = std::make_unique<stream>();
    feaug::cuda_context ctx{.stream = on->get()};
    CHECK(normalize(ctx, x).empty());
    CHECK(simt::device_bytes() > before);
    on.reset();  // (the executor ends the program if a destroyed stream is used)
  }
  CHECK(simt::device_bytes() == before);
}

TEST_CASE("the end of a context during another capture leaves no error", "[cuda][context]") {
  const device_copy<float> x(test_matrix<float>::normal(4, 8, 1));
  const stream captured;
  cudaGraph_t graph = nullptr;
  {
    feaug::cuda_context ctx;
    CHECK(normalize(ctx, x).empty());
    device_test::succeed(cudaStreamBeginCapture(captured.get(), cudaStreamCaptureModeGlobal));
  }
  cudaStreamEndCapture(captured.get(), &graph);
  cudaGraphDestroy(graph);
  CHECK(cudaGetLastError() == cudaSuccess);
}

TEST_CASE("a resource that throws when blocks are joined ends nothing", "[cuda][context]") {
  struct exhausted : feaug::device_memory_resource {
    int left = 2;
    void* allocate(std::size_t bytes, cudaStream_t /*stream*/) override {
      if (left-- <= 0) throw std::bad_alloc();
      void* memory = nullptr;
      cudaMalloc(&memory, bytes);
      return memory;
    }
    void deallocate(void* memory, std::size_t /*bytes*/, cudaStream_t /*stream*/) override {
      cudaFree(memory);
    }
  };
  exhausted memory;
  feaug::cuda_context ctx{.resource = &memory};
  {
    feaug::cuda::operation call(ctx, "test");
    CHECK(call.take<char>(1000) != nullptr);
    CHECK(call.take<char>(1000) != nullptr);
  }
  CHECK(ctx.workspace.capacity() == 0);
}

TEST_CASE("every CUDA call is checked", "[cuda][context]") {
  // The n-th CUDA call fails, for n = 0, 1, … until no call fails.
  const device_copy<float> x(test_matrix<float>::normal(4, 4, 1));
  const device_copy<float> dx(test_matrix<float>(4, 4));
  const device_array<float> loss({0});
  const bool tensor_cores = GENERATE(false, true);
  int failures = 0;
  for (int calls = 0;; ++calls) {
    feaug::cuda_context ctx{.precision = feaug::product_precision::bf16,
                            .tensor_cores = tensor_cores};
    simt::next_failure() = {.calls = calls, .error = cudaErrorMemoryAllocation};
    std::string message;
    try {
      feaug::info_nce_with_gradients(ctx, feaug::differentiable(x.const_view(), dx.view()),
                                     feaug::stop_gradient(x.const_view()),
                                     feaug::device_vector<float>(loss.data(), 1));
    } catch (const feaug::cuda_error& error) {
      message = error.what();
    }
    const bool happened = simt::next_failure().calls < 0;
    simt::next_failure() = {};
    if (!happened) break;
    if (message.empty()) continue;  // scratch memory was not joined to one block: no error
    ++failures;
    CAPTURE(calls, message);
    CHECK(message.find("info_nce_with_gradients: ") == 0);
    CHECK(message.find("out of memory (cudaErrorMemoryAllocation)") != std::string::npos);
  }
  CHECK(failures > 20);
}
#endif

}  // namespace context_test
