// The threads of a context, started on first use and kept.
#pragma once

#include "feaug/header_begin.hpp"

#include <unistd.h>

#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "feaug/core/function_ref.hpp"
#include "feaug/cpu/core/floating_point_control.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Runs a function on several threads, including the caller's, and returns when all have finished.
///
/// A child process of fork() inherits the object but not the threads. It must not touch what the
/// parent's threads may have locked, so it abandons their memory and starts threads of its own. A
/// fork while another thread is inside `run` is undefined behaviour.
class thread_pool {
 public:
  using job = detail::function_ref<void(int)>;

  thread_pool() = default;
  thread_pool(const thread_pool&) = delete;
  thread_pool& operator=(const thread_pool&) = delete;
  ~thread_pool() { abandon_after_fork(); }

  /// Calls work(0) … work(workers − 1), each on its own thread, with the caller's floating-point
  /// control bits. Rethrows the first exception. Allocates only when it starts threads.
  void run(int workers, const job& work) {
    if (workers <= 1) {
      work(0);
      return;
    }
    abandon_after_fork();
    if (crew_ == nullptr) crew_ = std::make_unique<crew>();
    crew_->run(workers, work);
  }

 private:
  /// The started threads, and what they share with the caller.
  class crew {
   public:
    crew() = default;
    crew(const crew&) = delete;
    crew& operator=(const crew&) = delete;
    ~crew() {
      {
        const std::scoped_lock lock(mutex_);
        stopping_ = true;
      }
      wake_.notify_all();
      for (std::thread& thread : threads_) thread.join();
    }

    [[nodiscard]] bool is_of_this_process() const { return process_ == getpid(); }

    void run(int workers, const job& work) {
      while (static_cast<int>(threads_.size()) < workers - 1) {
        const int number = static_cast<int>(threads_.size()) + 1;
        threads_.emplace_back([this, number, seen = generation_] { serve(number, seen); });
      }
      {
        const std::scoped_lock lock(mutex_);
        work_ = &work;
        control_ = {};
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
        const job* work = nullptr;
        {
          std::unique_lock lock(mutex_);
          wake_.wait(lock, [&] { return stopping_ || generation_ != seen; });
          if (stopping_) return;
          seen = generation_;
          if (number < workers_) work = work_;
        }
        if (work != nullptr) {
          // The caller changes control_ only after this thread has finished.
          const cpu::floating_point_scope as_the_caller(control_);
          attempt(*work, number);
        }
        const std::scoped_lock lock(mutex_);
        if (--running_ == 0) done_.notify_one();
      }
    }

    void attempt(const job& work, int number) {
      try {
        work(number);
      } catch (...) {
        const std::scoped_lock lock(mutex_);
        if (failure_ == nullptr) failure_ = std::current_exception();
      }
    }

    const pid_t process_ = getpid();
    std::mutex mutex_;
    std::condition_variable wake_;
    std::condition_variable done_;
    std::vector<std::thread> threads_;
    const job* work_ = nullptr;
    cpu::floating_point_control control_;
    int workers_ = 0;
    int running_ = 0;
    unsigned long long generation_ = 0;
    bool stopping_ = false;
    std::exception_ptr failure_;
  };

  void abandon_after_fork() {
    if (crew_ != nullptr && !crew_->is_of_this_process()) static_cast<void>(crew_.release());
  }

  std::unique_ptr<crew> crew_;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
