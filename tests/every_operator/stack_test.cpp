// CPU operators need little stack: they run on a thread with a small one (musl's default is 128
// KiB). The test fills a thread's stack with a pattern and looks how much of it is overwritten.
#include <pthread.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "feaug/feaug.hpp"
#include "support/every_call.hpp"
#include "support/host_call_arrays.hpp"

namespace stack_test {
namespace {

constexpr std::size_t stack_bytes = 1U << 20U;
constexpr unsigned char pattern = 0xA5;

/// Returns how many bytes of stack `work` uses, those of starting a thread included.
std::size_t stack_used(const std::function<void()>& work) {
  std::vector<unsigned char> memory(stack_bytes + 4096, pattern);
  const auto address = reinterpret_cast<std::uintptr_t>(memory.data());
  unsigned char* const stack = memory.data() + (4096 - address % 4096) % 4096;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  REQUIRE(pthread_attr_setstack(&attributes, stack, stack_bytes) == 0);
  pthread_t thread{};
  const auto run = [](void* given) -> void* {
    (*static_cast<const std::function<void()>*>(given))();
    return nullptr;
  };
  REQUIRE(pthread_create(&thread, &attributes, run, const_cast<std::function<void()>*>(&work)) ==
          0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
  const unsigned char* const lowest =
      std::find_if(stack, stack + stack_bytes, [](unsigned char x) { return x != pattern; });
  return static_cast<std::size_t>(stack + stack_bytes - lowest);
}

}  // namespace

TEST_CASE("no operator needs more than 32 KiB of stack", "[stack]") {
  // Many rows for the tiles of products, many columns for the matrices of features.
  const auto [rows, cols] =
      GENERATE(table<feaug::index_t, feaug::index_t>({{1100, 20}, {130, 130}}));
  const std::size_t of_a_thread = stack_used([] {});
  every_call::host_call_arrays memory(rows, cols);
  for (const auto& call : every_call::all_calls<feaug::cpu_context>()) {
    CAPTURE(call.name, rows, cols);
    feaug::cpu_context ctx{.threads = 1};
    const auto arrays = memory.arrays();
    memory.reset();
    CHECK(stack_used([&] { call.run(ctx, arrays); }) - of_a_thread <= 32U << 10U);
  }
}

}  // namespace stack_test
