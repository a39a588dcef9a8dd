#include "feaug/cpu/core/workspace.hpp"

#include <catch2/catch.hpp>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <vector>

namespace workspace_test {

using feaug::workspace;

namespace {

bool on_cache_line(const void* pointer) {
  return reinterpret_cast<std::uintptr_t>(pointer) % 64 == 0;
}

/// Host memory that can refuse to allocate, as a GPU does while a graph is captured, and that counts.
struct counted_memory {
  static constexpr std::size_t alignment = feaug::host_memory::alignment;
  struct counts {
    bool is_captured = false;
    int allocated = 0;
    std::vector<void*> held = {};
    int freed_in_calls = 0;
  };
  counts* state = nullptr;

  [[nodiscard]] void* allocate(std::size_t bytes) const {
    REQUIRE_FALSE(state->is_captured);
    ++state->allocated;
    state->held.push_back(feaug::host_memory::allocate(bytes));
    return state->held.back();
  }
  [[nodiscard]] void* allocate_or_null(std::size_t bytes) const { return allocate(bytes); }
  [[nodiscard]] bool may_allocate() const { return !state->is_captured; }
  void deallocate(void* memory, std::size_t bytes, feaug::workspace_freed when) const {
    if (when == feaug::workspace_freed::in_call) ++state->freed_in_calls;
    std::erase(state->held, memory);
    feaug::host_memory::deallocate(memory, bytes, when);
  }
};

}  // namespace

TEST_CASE("arrays of open scopes are distinct and keep their contents", "[workspace]") {
  workspace memory;
  workspace::scope outer(memory);
  auto* a = outer.take_filled<int>(10, 1);
  {
    workspace::scope inner(memory);
    auto* b = inner.take_filled<double>(1000, 2.0);
    auto* c = inner.take_filled<char>(1, 'c');
    CHECK(on_cache_line(a));
    CHECK(on_cache_line(b));
    CHECK(on_cache_line(c));
    CHECK(b[999] == 2.0);
    CHECK(*c == 'c');
  }
  auto* d = outer.take_filled<int>(100000, 3);
  CHECK(std::vector<int>(a, a + 10) == std::vector<int>(10, 1));
  CHECK(d[99999] == 3);
}

TEST_CASE("memory of a closed inner scope is reused", "[workspace]") {
  workspace memory;
  {
    workspace::scope scope(memory);  // allocates one block for the rest
    static_cast<void>(scope.take<char>(4096));
  }
  workspace::scope outer(memory);
  static_cast<void>(outer.take<char>(64));
  const void* first = nullptr;
  {
    workspace::scope inner(memory);
    first = inner.take<char>(100);
  }
  workspace::scope inner(memory);
  CHECK(static_cast<const void*>(inner.take<char>(100)) == first);
}

TEST_CASE("after the first call of a shape nothing is allocated", "[workspace]") {
  workspace memory;
  const void* place = nullptr;
  const auto call = [&](feaug::index_t size) {
    workspace::scope outer(memory);
    place = outer.take<double>(size);
    workspace::scope inner(memory);
    static_cast<void>(inner.take<float>(3 * size));
    static_cast<void>(inner.take<char>(1));
  };
  call(1000);
  const std::size_t capacity = memory.capacity();
  call(1000);
  const void* settled = place;
  for (int repeat = 0; repeat < 3; ++repeat) {
    call(1000);
    call(10);
    CHECK(place == settled);
    CHECK(memory.capacity() == capacity);
  }
  CHECK(memory.peak() <= memory.capacity());
  CHECK(memory.peak() >= 8000 + 12000 + 1);
}

TEST_CASE("repeated growth does not accumulate memory", "[workspace]") {
  workspace memory;
  for (feaug::index_t size = 1000; size < 100000; size += 500) {
    workspace::scope scope(memory);
    static_cast<void>(scope.take<char>(size));
  }
  CHECK(memory.capacity() <= 3 * 100000);
}

TEST_CASE("clear frees all memory, and a move transfers it", "[workspace]") {
  workspace memory;
  {
    workspace::scope scope(memory);
    static_cast<void>(scope.take<char>(1000));
  }
  workspace moved = std::move(memory);
  CHECK(moved.capacity() >= 1000);
  moved.clear();
  CHECK(moved.capacity() == 0);
  workspace::scope scope(moved);
  CHECK(*scope.take_filled<int>(1, 5) == 5);
  // Every empty array, too, gets an address of its own.
  CHECK(scope.take<int>(0) != scope.take<int>(0));
}

TEST_CASE("memory of a captured graph is kept until the end", "[workspace]") {
  counted_memory::counts state;
  {
    feaug::basic_workspace<counted_memory> memory(counted_memory{&state});
    const auto call = [&](std::initializer_list<feaug::index_t> sizes) {
      feaug::basic_workspace<counted_memory>::scope scope(memory);
      std::vector<void*> taken;
      for (const feaug::index_t size : sizes) taken.push_back(scope.take<char>(size));
      return taken;
    };
    const auto capture = [&](std::initializer_list<feaug::index_t> sizes) {
      state.is_captured = true;
      const auto taken = call(sizes);
      state.is_captured = false;
      return taken;
    };
    static_cast<void>(call({1000, 500}));
    const auto in_graph = capture({1000, 500});
    REQUIRE(state.held.size() == 1);
    void* const first_block = state.held.front();
    CHECK(in_graph.front() == first_block);

    // A larger call, then one that needs several blocks more.
    static_cast<void>(call({5000}));
    static_cast<void>(call({900, 6000, 7000}));
    CHECK(state.held.size() == 2);  // that of the graph, and one for everything else
    CHECK(state.held.front() == first_block);
    CHECK(state.freed_in_calls > 0);
    const int allocated = state.allocated;
    static_cast<void>(call({900, 6000, 7000}));
    static_cast<void>(call({1000, 500}));
    CHECK(state.allocated == allocated);  // shapes that have run before

    // A second graph uses the second block, too.
    CHECK(capture({900, 6000, 7000}).size() == 3);
    const std::vector<void*> both = state.held;
    static_cast<void>(call({20000, 20000, 20000}));
    REQUIRE(state.held.size() == 3);
    CHECK(std::vector<void*>(state.held.begin(), state.held.begin() + 2) == both);

    memory.clear();
    CHECK(state.held.empty());
    static_cast<void>(call({100}));
    static_cast<void>(call({100, 3000}));
    CHECK(state.held.size() == 1);  // after clear() no graph holds a block
  }
  CHECK(state.held.empty());
}

}  // namespace workspace_test
