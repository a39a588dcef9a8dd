// CPU backend: a context for every call at a time.
#pragma once

#include <array>
#include <atomic>
#include <feaug/cpu/core/context.hpp>
#include <memory>
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
  std::array<std::atomic<context*>, 64> slots_{};  // of more calls at a time, the others are freed
};

/// Runs body(context) with the caller's number of threads.
template <class Body>
void lend_context(const caller& from, const Body& body) {
  // Never destroyed, since threads of the framework may still run when static objects are destroyed.
  static idle_contexts& idle = *new idle_contexts;
  std::unique_ptr<context> lent = idle.take();
  lent->threads = from.threads;
  body(*lent);  // if it throws, the context is destroyed
  idle.give_back(std::move(lent));
}

}  // namespace feaug_python
