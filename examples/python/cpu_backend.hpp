// CPU backend: each running call has a context of its own.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstring>
#include <feaug/cpu/core/context.hpp>
#include <feaug/cpu/core/executor.hpp>
#include <memory>
#include <type_traits>
#include <utility>

#include "kernels.hpp"

namespace feaug_python {

using context = feaug::cpu_context;

/// Contexts that no call uses. The frameworks call from any of their threads: with a context for
/// each thread, scratch memory and worker threads would be kept once for every core. Without a lock,
/// which a fork during another thread's call would leave locked.
class idle_contexts {
 public:
  std::unique_ptr<context> take() {
    for (std::atomic<context*>& slot : slots_) {
      if (slot.load(std::memory_order_relaxed) == nullptr) continue;
      if (context* const idle = slot.exchange(nullptr, std::memory_order_acquire))
        return std::unique_ptr<context>(idle);
    }
    return std::make_unique<context>();
  }
  void give_back(std::unique_ptr<context> used) {
    for (std::atomic<context*>& slot : slots_) {
      context* expected = nullptr;
      if (slot.compare_exchange_strong(expected, used.get(), std::memory_order_release,
                                       std::memory_order_relaxed)) {
        used.release();  // NOLINT(bugprone-unused-return-value): the slot owns it now
        return;
      }
    }
  }

 private:
  std::array<std::atomic<context*>, 64>
      slots_{};  // if more calls run at once, the surplus is freed
};

/// Those of all operators. Not destroyed at exit, when threads of the framework may still run.
inline constinit idle_contexts idle;
static_assert(std::is_trivially_destructible_v<idle_contexts>);

inline feaug::executor executor_of(const caller& from) {
  if (from.executor == nullptr) return {};
  return [run = from.executor](int workers, const feaug::worker_function& work) {
    run(
        workers,
        [](const void* function, int number) {
          (*static_cast<const feaug::worker_function*>(function))(number);
        },
        &work);
  };
}

/// Runs body(context) with the caller's threads.
template <class Body>
void lend_context(const caller& from, const Body& body) {
  std::unique_ptr<context> lent = idle.take();
  lent->threads = from.threads;
  lent->executor = executor_of(from);
  body(*lent);  // if it throws, the context is destroyed
  idle.give_back(std::move(lent));
}

/// Writes zeros.
inline void clear(const context& /*ctx*/, void* memory, std::size_t bytes) {
  std::memset(memory, 0, bytes);
}

}  // namespace feaug_python
