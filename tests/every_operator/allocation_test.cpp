// After warm-up no CPU operator allocates memory: counts calls of operator new.
#include <atomic>
#include <catch2/catch.hpp>
#include <cstddef>
#include <cstdlib>
#include <new>

#include "feaug/feaug.hpp"
#include "support/every_call.hpp"
#include "support/host_call_arrays.hpp"

namespace allocation_test {
namespace {

std::atomic<long> allocations = 0;

void* counted(std::size_t bytes, std::size_t alignment) {
  ++allocations;
  const std::size_t size = (bytes + alignment - 1) / alignment * alignment;
  return std::aligned_alloc(alignment, size == 0 ? alignment : size);
}

// Not inlined: g++ would warn that free does not match operator new.
[[gnu::noinline]] void release(void* memory) { std::free(memory); }

}  // namespace
}  // namespace allocation_test

void* operator new(std::size_t bytes) {
  void* const memory = allocation_test::counted(bytes, alignof(std::max_align_t));
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  void* const memory = allocation_test::counted(bytes, static_cast<std::size_t>(alignment));
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void* operator new(std::size_t bytes, std::align_val_t alignment,
                   const std::nothrow_t& /*nothrow*/) noexcept {
  return allocation_test::counted(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { allocation_test::release(memory); }
void operator delete(void* memory, std::size_t /*bytes*/) noexcept {
  allocation_test::release(memory);
}
void operator delete(void* memory, std::align_val_t /*alignment*/) noexcept {
  allocation_test::release(memory);
}
void operator delete(void* memory, std::size_t /*bytes*/, std::align_val_t /*alignment*/) noexcept {
  allocation_test::release(memory);
}

namespace allocation_test {

TEST_CASE("no operator allocates after warm-up", "[allocations]") {
  // The long batch has more than 128 columns of logits, for which exponentials are kept, and a queue
  // that is searched with pruning.
  const auto [rows, cols] = GENERATE(table<feaug::index_t, feaug::index_t>({{40, 33}, {1100, 20}}));
  const int threads = GENERATE(1, 3);
  every_call::host_call_arrays memory(rows, cols);
  for (const auto& call : every_call::all_calls<feaug::cpu_context>()) {
    CAPTURE(call.name, rows, cols, threads);
    feaug::cpu_context ctx{.threads = threads};
    const auto arrays = memory.arrays();
    for (int warm_up = 0; warm_up < 2; ++warm_up) {
      memory.reset();
      call.run(ctx, arrays);
    }
    memory.reset();
    const long before = allocations;
    call.run(ctx, arrays);
    CHECK(allocations - before == 0);
  }
}

}  // namespace allocation_test
