// The threads of a context, started on first use and kept.
#pragma once

#include "feaug/header_begin.hpp"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "feaug/cpu/core/executor.hpp"
#include "feaug/cpu/core/first_exception.hpp"
#include "feaug/cpu/core/floating_point_control.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cpu::detail {

/// For loops that wait: leaves the core to its other hardware thread.
inline void pause_briefly() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

}  // namespace cpu::detail

/// Runs a function on several threads, including the caller's, and returns when the caller's call
/// and all others that have begun are finished. A thread that wakes up later does not begin: waking
/// can take longer than the work, or its core can be in use by another library's threads.
///
/// After a call the threads wait for the next one for 50 µs without sleeping, and so does the caller
/// for the threads: an operator has several parts that run on all threads, and waking a thread can
/// take longer than a part. They sleep at once if all pools of the process have more threads than
/// the machine has cores.
///
/// A child process of fork() inherits the object but not the threads. It must not touch what the
/// parent's threads may have locked, so it abandons their memory and starts threads of its own. A
/// fork while another thread is inside `run` is undefined behaviour.
class thread_pool {
 public:
  thread_pool() = default;
  thread_pool(const thread_pool&) = delete;
  thread_pool& operator=(const thread_pool&) = delete;
  ~thread_pool() { abandon_after_fork(); }

  /// Calls work(0), and those of work(1) … work(workers − 1) that can begin before it returns, each on
  /// its own thread, with the caller's floating-point control bits. Any number of these calls must
  /// do the whole work. Rethrows the first exception. Allocates only when it starts threads.
  void run(int workers, const worker_function& work) {
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
        ++generation_;
      }
      wake_.notify_all();
      for (std::thread& thread : threads_) thread.join();
      all_threads() -= static_cast<int>(threads_.size());
    }

    [[nodiscard]] bool is_of_this_process() const { return process_ == getpid(); }

    void run(int workers, const worker_function& work) {
      while (static_cast<int>(threads_.size()) < workers - 1) {
        const int number = static_cast<int>(threads_.size()) + 1;
        threads_.emplace_back([this, number, seen = generation_.load()] { serve(number, seen); });
        ++all_threads();
      }
      bool is_anybody_asleep = false;
      {
        const std::scoped_lock lock(mutex_);
        work_ = &work;
        control_ = {};
        workers_ = workers;
        ++generation_;
        is_anybody_asleep = asleep_ > 0;
      }
      if (is_anybody_asleep) wake_.notify_all();
      failure_.keep_of([&] { work(0); });
      std::unique_lock lock(mutex_);
      work_ = nullptr;  // nobody begins any more
      if (running_ != 0) {
        lock.unlock();
        wait_awake([this] { return running_ == 0; });
        lock.lock();
        done_.wait(lock, [this] { return running_ == 0; });
      }
      failure_.rethrow();
    }

   private:
    void serve(int number, unsigned long long seen) {
      for (;;) {
        const worker_function* work = nullptr;
        wait_awake([&] { return generation_ != seen; });
        {
          std::unique_lock lock(mutex_);
          ++asleep_;
          wake_.wait(lock, [&] { return generation_ != seen; });
          --asleep_;
          if (stopping_) return;
          seen = generation_;
          if (number < workers_) work = work_;
          if (work == nullptr) continue;
          ++running_;
        }
        {
          // The caller changes control_ only after this thread has finished.
          const cpu::floating_point_scope as_the_caller(control_);
          failure_.keep_of([&] { (*work)(number); });
        }
        const std::scoped_lock lock(mutex_);
        if (--running_ == 0) done_.notify_one();
      }
    }

    /// Returns when is_done() or after 50 µs.
    template <class IsDone>
    static void wait_awake(const IsDone& is_done) {
      static const int cores = static_cast<int>(std::thread::hardware_concurrency());
      if (all_threads() >= cores) return;
      using clock = std::chrono::steady_clock;
      constexpr std::chrono::microseconds most(50);
      constexpr int checks = 16;  // between looks at the clock
      for (const auto begin = clock::now(); clock::now() - begin < most;) {
        for (int check = 0; check < checks; ++check) {
          if (is_done()) return;
          cpu::detail::pause_briefly();
        }
      }
    }

    /// The threads of all pools, without their callers.
    static std::atomic<int>& all_threads() {
      static std::atomic<int> count = 0;
      return count;
    }

    const pid_t process_ = getpid();
    std::mutex mutex_;
    std::condition_variable wake_;
    std::condition_variable done_;
    std::vector<std::thread> threads_;
    const worker_function* work_ = nullptr;  // null: no work, or all of it is distributed
    cpu::floating_point_control control_;
    int workers_ = 0;
    std::atomic<int> running_ = 0;  // threads in work_, without the caller
    int asleep_ = 0;
    std::atomic<unsigned long long> generation_ = 0;
    bool stopping_ = false;
    cpu::first_exception failure_;
  };

  void abandon_after_fork() {
    if (crew_ != nullptr && !crew_->is_of_this_process()) static_cast<void>(crew_.release());
  }

  std::unique_ptr<crew> crew_;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
