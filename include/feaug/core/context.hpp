// Where and with what an operator runs on the CPU.
#pragma once

#include <algorithm>
#include <thread>

#include "feaug/cpu/thread_pool.hpp"
#include "feaug/cpu/workspace.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Threads and reusable scratch memory. `feaug::cpu_context ctx{.threads = 2};`
///
/// Results are the same bits for any number of threads. One context serves one caller at a time:
/// give each host thread that calls operators a context of its own.
struct cpu_context {
  /// Threads an operator may use, the caller's included. 0: as many as the machine has.
  int threads = 0;
  /// Scratch memory, kept between calls. See docs/context.md for each operator's need.
  feaug::workspace workspace = {};
  /// The threads, started by the first call that uses more than one.
  thread_pool pool = {};

  [[nodiscard]] int thread_count() const {
    if (threads > 0) return threads;
    return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
