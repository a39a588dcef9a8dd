#include "feaug/cpu/core/workspace.hpp"

#include <catch2/catch.hpp>
#include <cstdint>
#include <vector>

namespace workspace_test {

using feaug::workspace;

namespace {

bool on_cache_line(const void* pointer) {
  return reinterpret_cast<std::uintptr_t>(pointer) % 64 == 0;
}

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

}  // namespace workspace_test
