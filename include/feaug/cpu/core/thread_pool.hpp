// The threads of a context, started on first use and kept.
#pragma once

#include <condition_variable>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Runs a function on several threads, including the caller's, and returns when all have finished.
class thread_pool {
 public:
  thread_pool() = default;
  thread_pool(const thread_pool&) = delete;
  thread_pool& operator=(const thread_pool&) = delete;
  ~thread_pool() { stop(); }

  /// Calls work(0) … work(workers − 1), each on its own thread. Rethrows the first exception.
  void run(int workers, const std::function<void(int)>& work) {
    if (workers <= 1) {
      work(0);
      return;
    }
    while (static_cast<int>(threads_.size()) < workers - 1) {
      const int number = static_cast<int>(threads_.size()) + 1;
      threads_.emplace_back([this, number, seen = generation_] { serve(number, seen); });
    }
    {
      const std::scoped_lock lock(mutex_);
      work_ = &work;
      workers_ = workers;
      running_ = static_cast<int>(threads_.size());
      failure_ = nullptr;
      ++generation_;
    }
    wake_.notify_all();
    attempt(work, 0);
    std::unique_lock lock(mutex_);
    done_.wait(lock, [this] { return running_ == 0; });
    work_ = nullptr;
    if (failure_ != nullptr) std::rethrow_exception(std::exchange(failure_, nullptr));
  }

 private:
  void serve(int number, unsigned long long seen) {
    for (;;) {
      const std::function<void(int)>* work = nullptr;
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [&] { return stopping_ || generation_ != seen; });
        if (stopping_) return;
        seen = generation_;
        if (number < workers_) work = work_;
      }
      if (work != nullptr) attempt(*work, number);
      const std::scoped_lock lock(mutex_);
      if (--running_ == 0) done_.notify_one();
    }
  }

  void attempt(const std::function<void(int)>& work, int number) {
    try {
      work(number);
    } catch (...) {
      const std::scoped_lock lock(mutex_);
      if (failure_ == nullptr) failure_ = std::current_exception();
    }
  }

  void stop() {
    {
      const std::scoped_lock lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable done_;
  std::vector<std::thread> threads_;
  const std::function<void(int)>* work_ = nullptr;
  int workers_ = 0;
  int running_ = 0;
  unsigned long long generation_ = 0;
  bool stopping_ = false;
  std::exception_ptr failure_;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
