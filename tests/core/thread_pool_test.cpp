#include "feaug/cpu/core/thread_pool.hpp"

#include <atomic>
#include <catch2/catch.hpp>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

namespace thread_pool_test {

using feaug::thread_pool;

TEST_CASE("every worker runs once, each on its own thread", "[thread_pool]") {
  thread_pool pool;
  // The number of workers grows and shrinks.
  for (const int workers : {1, 2, 4, 2, 3, 5, 1}) {
    std::mutex mutex;
    std::vector<int> runs(static_cast<std::size_t>(workers), 0);
    std::set<std::thread::id> threads;
    pool.run(workers, [&](int worker) {
      const std::scoped_lock lock(mutex);
      ++runs[static_cast<std::size_t>(worker)];
      threads.insert(std::this_thread::get_id());
    });
    CHECK(runs == std::vector<int>(static_cast<std::size_t>(workers), 1));
    CHECK(threads.size() == static_cast<std::size_t>(workers));
    CHECK(threads.count(std::this_thread::get_id()) == 1);
  }
}

TEST_CASE("threads are kept between runs", "[thread_pool]") {
  thread_pool pool;
  std::mutex mutex;
  std::set<std::thread::id> threads;
  for (int repeat = 0; repeat < 200; ++repeat) {
    pool.run(3, [&](int) {
      const std::scoped_lock lock(mutex);
      threads.insert(std::this_thread::get_id());
    });
  }
  CHECK(threads.size() == 3);
}

TEST_CASE("an exception is rethrown in the caller after all workers are done", "[thread_pool]") {
  thread_pool pool;
  const int failing = GENERATE(0, 1, 2);
  std::atomic<int> done = 0;
  const auto run = [&] {
    pool.run(3, [&](int worker) {
      if (worker == failing) throw std::runtime_error("worker " + std::to_string(worker));
      ++done;
    });
  };
  CHECK_THROWS_WITH(run(), "worker " + std::to_string(failing));
  CHECK(done == 2);
  // The pool can still be used, and the next run does not report the failure again.
  std::atomic<int> after = 0;
  pool.run(3, [&](int) { ++after; });
  CHECK(after == 3);
}

TEST_CASE("of several exceptions one is rethrown", "[thread_pool]") {
  thread_pool pool;
  CHECK_THROWS_AS(pool.run(4, [](int) { throw std::runtime_error("all"); }), std::runtime_error);
  CHECK_THROWS_AS(pool.run(1, [](int) { throw std::runtime_error("alone"); }), std::runtime_error);
}

}  // namespace thread_pool_test
