// The CPU context: threads, instruction set and scratch memory of operators.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <string_view>
#include <thread>

#include "feaug/core/product_precision.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/executor.hpp"
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
/// Results are bit-identical for any number of threads. A context serves one call at a time: each
/// host thread that calls operators needs its own context.
struct cpu_context {
  static constexpr memory_space space = memory_space::host;
  /// One call's scratch memory, for augmentations composed of others, which run in any context.
  using operation = cpu::operation;

  /// The number of threads an operator may use, including the caller's. 0: all of the machine.
  int threads = 0;
  /// The newest instruction set that kernels may use; sets that the machine lacks are never used.
  /// Results of different sets differ by rounding.
  instruction_set instructions = instruction_set::amx;
  /// Precision of the matrix products of losses. It is lowered only on request, and only where that
  /// is faster: with instruction_set::amx, and bf16 also with instruction_set::avx512_bf16.
  /// docs/context.md has the errors.
  product_precision precision = product_precision::fp32;
  /// The most bytes of scratch memory with which one call keeps intermediate results (packed rows,
  /// exponentials) instead of computing them again. More: faster losses of large batches. 0, or
  /// negative: none are kept. Results differ by rounding.
  index_t most_kept_bytes = index_t{14} << 20;
  /// Runs the parts of an operator on threads of the caller instead of the pool's. Empty: the pool's.
  feaug::executor executor = {};
  /// Scratch memory, kept between calls. docs/context.md lists what each operator needs.
  feaug::workspace workspace = {};
  /// The threads, started by the first call that uses more than one and has no executor.
  thread_pool pool = {};

  [[nodiscard]] int thread_count() const {
    if (threads > 0) return threads;
    return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  }
};

/// Checks that the context's processor can access a view's memory, as far as the pointer shows. On
/// the CPU nothing is checked.
template <class View>
void require_reachable(const cpu_context& /*ctx*/, std::string_view /*op*/,
                       std::string_view /*argument*/, const View& /*view*/) {}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
