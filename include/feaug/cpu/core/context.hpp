// Where and with what an operator runs on the CPU.
#pragma once

#include <algorithm>
#include <string_view>
#include <thread>

#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/cpu/core/thread_pool.hpp"
#include "feaug/cpu/core/workspace.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cpu {
class operation;
}

/// Threads and reusable scratch memory. `feaug::cpu_context ctx{.threads = 2};`
///
/// Results are the same bits for any number of threads. One context serves one caller at a time:
/// give each host thread that calls operators a context of its own.
struct cpu_context {
  static constexpr memory_space space = memory_space::host;
  /// One call's scratch memory, for augmentations made of others, which run in any context.
  using operation = cpu::operation;

  /// Threads an operator may use, the caller's included. 0: as many as the machine has.
  int threads = 0;
  /// The newest instructions that feaug's own kernels may use; those that the machine lacks are
  /// never used. Results of different sets differ by rounding.
  instruction_set instructions = instruction_set::avx512;
  /// Scratch memory, kept between calls. See docs/context.md for each operator's need.
  feaug::workspace workspace = {};
  /// The threads, started by the first call that uses more than one.
  thread_pool pool = {};

  [[nodiscard]] int thread_count() const {
    if (threads > 0) return threads;
    return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  }
};

/// Whether the context's processor can reach what a view points to, as far as a pointer tells. On
/// the CPU nothing is known of pointers.
template <class View>
void require_reachable(const cpu_context& /*ctx*/, std::string_view /*op*/,
                       std::string_view /*argument*/, const View& /*view*/) {}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
