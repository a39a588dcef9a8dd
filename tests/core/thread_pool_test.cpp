#include "feaug/cpu/core/thread_pool.hpp"

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace thread_pool_test {

using feaug::thread_pool;

namespace {

/// Keeps every worker until all have begun: a pool does not wait for threads that wake up late.
class start_line {
 public:
  explicit start_line(int workers) : workers_(workers) {}
  void wait() {
    ++arrived_;
    while (arrived_ < workers_) std::this_thread::yield();
  }

 private:
  std::atomic<int> arrived_ = 0;
  int workers_;
};

}  // namespace

TEST_CASE("every worker runs once, each on its own thread", "[thread_pool]") {
  thread_pool pool;
  // The number of workers grows and shrinks.
  for (const int workers : {1, 2, 4, 2, 3, 5, 1}) {
    std::mutex mutex;
    std::vector<int> runs(static_cast<std::size_t>(workers), 0);
    std::set<std::thread::id> threads;
    start_line start(workers);
    pool.run(workers, [&](int worker) {
      start.wait();
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
    start_line start(3);
    pool.run(3, [&](int) {
      start.wait();
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
    start_line start(3);
    pool.run(3, [&](int worker) {
      start.wait();
      if (worker == failing) throw std::runtime_error("worker " + std::to_string(worker));
      ++done;
    });
  };
  CHECK_THROWS_WITH(run(), "worker " + std::to_string(failing));
  CHECK(done == 2);
  // The pool can still be used, and the next run does not report the failure again.
  std::atomic<int> after = 0;
  start_line start(3);
  pool.run(3, [&](int) {
    start.wait();
    ++after;
  });
  CHECK(after == 3);
}

TEST_CASE("of several exceptions one is rethrown", "[thread_pool]") {
  thread_pool pool;
  CHECK_THROWS_AS(pool.run(4, [](int) { throw std::runtime_error("all"); }), std::runtime_error);
  CHECK_THROWS_AS(pool.run(1, [](int) { throw std::runtime_error("alone"); }), std::runtime_error);
}

TEST_CASE("no worker begins after the call returned", "[thread_pool]") {
  // On two cores, the thread of two workers waits without sleeping, those of four sleep at once.
  const int workers = GENERATE(2, 4);
  thread_pool pool;
  // Pauses around the time after which threads sleep, and work that is over before they wake.
  for (int repeat = 0; repeat < 2000; ++repeat) {
    std::atomic<bool> has_returned = false;
    std::atomic<int> late = 0;
    std::atomic<int> calls = 0;
    pool.run(workers, [&](int) {
      ++calls;
      if (has_returned) ++late;
    });
    has_returned = true;
    CHECK(calls >= 1);
    CHECK(calls <= workers);
    if (repeat % 4 == 0) std::this_thread::sleep_for(std::chrono::microseconds(repeat % 100));
    CHECK(late == 0);
  }
}

TEST_CASE("pools of several callers do not disturb each other", "[thread_pool]") {
  std::vector<std::thread> callers;
  callers.reserve(3);
  std::atomic<int> wrong = 0;
  for (int caller = 0; caller < 3; ++caller) {
    callers.emplace_back([&] {
      for (int life = 0; life < 5; ++life) {
        thread_pool pool;
        for (int repeat = 0; repeat < 200; ++repeat) {
          std::atomic<int> next = 0;
          std::atomic<int> sum = 0;
          pool.run(3, [&](int) {
            for (int block = next++; block < 10; block = next++) sum += block;
          });
          if (sum != 45) ++wrong;
        }
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  CHECK(wrong == 0);
}

}  // namespace thread_pool_test
