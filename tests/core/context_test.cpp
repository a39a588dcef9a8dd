#include "feaug/cpu/core/context.hpp"

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <cfenv>
#include <stdexcept>
#include <thread>
#include <vector>

#include "feaug/cpu/core/parallel.hpp"

namespace context_test {

using feaug::index_t;

TEST_CASE("a context uses the given number of threads, or all of the machine", "[context]") {
  CHECK(feaug::cpu_context{.threads = 3}.thread_count() == 3);
  const feaug::cpu_context all;
  CHECK(all.thread_count() == std::max(1, static_cast<int>(std::thread::hardware_concurrency())));
  CHECK(feaug::cpu_context{.threads = -1}.thread_count() == all.thread_count());
}

TEST_CASE("there are never more workers than blocks", "[context]") {
  const feaug::cpu_context ctx{.threads = 4};
  CHECK(feaug::cpu::worker_count(ctx, 0) == 1);
  CHECK(feaug::cpu::worker_count(ctx, 1) == 1);
  CHECK(feaug::cpu::worker_count(ctx, 3) == 3);
  CHECK(feaug::cpu::worker_count(ctx, 1000) == 4);
}

TEST_CASE("every block is processed once, by a worker below worker_count", "[context]") {
  const int threads = GENERATE(1, 2, 3);
  const index_t blocks = GENERATE(0, 1, 2, 1000);
  feaug::cpu_context ctx{.threads = threads};
  std::vector<std::atomic<int>> runs(static_cast<std::size_t>(blocks));
  std::atomic<bool> worker_in_range = true;
  feaug::cpu::for_each_block(ctx, blocks, [&](index_t block, int worker) {
    ++runs[static_cast<std::size_t>(block)];
    if (worker < 0 || worker >= feaug::cpu::worker_count(ctx, blocks)) worker_in_range = false;
  });
  CHECK(worker_in_range);
  for (const std::atomic<int>& count : runs) CHECK(count == 1);
}

TEST_CASE("row blocks cover all rows and do not depend on the number of threads", "[context]") {
  const index_t rows = GENERATE(0, 1, 7, 5000);
  const index_t cols = GENERATE(0, 1, 100, 100000);
  std::vector<std::vector<index_t>> begins;
  for (const int threads : {1, 3}) {
    feaug::cpu_context ctx{.threads = threads};
    std::vector<std::atomic<int>> runs(static_cast<std::size_t>(rows));
    std::vector<std::atomic<bool>> begin(static_cast<std::size_t>(rows));
    feaug::cpu::for_each_row_block(ctx, rows, cols, [&](index_t first, index_t count, int) {
      begin[static_cast<std::size_t>(first)] = true;
      for (index_t i = first; i < first + count; ++i) ++runs[static_cast<std::size_t>(i)];
    });
    bool once = true;
    for (const std::atomic<int>& count : runs) once = once && count == 1;
    CHECK(once);
    std::vector<index_t> cuts;
    for (index_t i = 0; i < rows; ++i) {
      if (begin[static_cast<std::size_t>(i)]) cuts.push_back(i);
    }
    begins.push_back(cuts);
  }
  CHECK(begins[0] == begins[1]);
}

TEST_CASE("an exception in a block reaches the caller, and the context still works", "[context]") {
  feaug::cpu_context ctx{.threads = GENERATE(1, 3)};
  const auto fail = [&] {
    feaug::cpu::for_each_block(ctx, 50, [](index_t block, int) {
      if (block == 17) throw std::runtime_error("block 17");
    });
  };
  CHECK_THROWS_WITH(fail(), "block 17");
  std::atomic<index_t> sum = 0;
  feaug::cpu::for_each_block(ctx, 50, [&](index_t block, int) { sum += block; });
  CHECK(sum == 49 * 50 / 2);
}

TEST_CASE("an executor's threads do the work of the pool's", "[context]") {
  // Some numbers, in any order: all at once, the last only, one after the other on one thread.
  const std::vector<feaug::executor> executors = {
      [](int workers, const feaug::worker_function& work) {
        std::vector<std::thread> threads;
        threads.reserve(static_cast<std::size_t>(workers));
        for (int number = 0; number < workers; ++number)
          threads.emplace_back([&work, number] { work(number); });
        for (std::thread& thread : threads) thread.join();
      },
      [](int workers, const feaug::worker_function& work) { work(workers - 1); },
      [](int workers, const feaug::worker_function& work) {
        for (int number = 0; number < workers; ++number) work(number);
      },
  };
  for (const feaug::executor& executor : executors) {
    feaug::cpu_context ctx{.threads = 3, .executor = executor};
    std::vector<std::atomic<int>> runs(1000);
    feaug::cpu::for_each_block(
        ctx, 1000, [&](index_t block, int) { ++runs[static_cast<std::size_t>(block)]; });
    CHECK(std::all_of(runs.begin(), runs.end(), [](const auto& count) { return count == 1; }));
    const auto fail = [&] {
      feaug::cpu::for_each_block(ctx, 50, [](index_t block, int) {
        if (block == 17) throw std::runtime_error("block 17");
      });
    };
    CHECK_THROWS_WITH(fail(), "block 17");
  }
}

TEST_CASE("an executor's threads compute with the caller's floating-point settings", "[context]") {
  feaug::cpu_context ctx{.threads = 2,
                         .executor = [](int workers, const feaug::worker_function& work) {
                           std::thread([&] { work(workers - 1); }).join();
                         }};
  const int before = std::fegetround();
  std::fesetround(FE_UPWARD);
  int found = before;
  feaug::cpu::for_each_block(ctx, 2, [&](index_t, int) { found = std::fegetround(); });
  std::fesetround(before);
  CHECK(found == FE_UPWARD);
}

TEST_CASE("an executor that breaks its promises is refused", "[context]") {
  feaug::cpu_context ctx{.threads = 4};
  const auto run = [&] { feaug::cpu::for_each_block(ctx, 50, [](index_t, int) {}); };
  ctx.executor = [](int, const feaug::worker_function&) {};
  CHECK_THROWS_WITH(run(), "cpu_context: executor: no worker was called, wanted one or more");
  ctx.executor = [](int workers, const feaug::worker_function& work) { work(workers); };
  CHECK_THROWS_WITH(run(), "cpu_context: executor: got worker 4, wanted 0 to 3");
  ctx.executor = [](int, const feaug::worker_function& work) { work(-1); };
  CHECK_THROWS_WITH(run(), "cpu_context: executor: got worker -1, wanted 0 to 3");
}

}  // namespace context_test
