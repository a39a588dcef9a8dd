// CPU backend of the handlers: a pool of contexts.
#pragma once

#include <xla/ffi/api/ffi.h>

#include <feaug/cpu/core/context.hpp>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "threads.hpp"

namespace feaug_jax {

using context = feaug::cpu_context;

/// Information about the call for a handler, besides its arguments: none on the CPU.
struct caller {};

/// A pool of idle contexts. XLA calls handlers from any of its threads: with one context per
/// thread, scratch memory and worker threads would be kept once for every core.
class idle_contexts {
 public:
  std::unique_ptr<context> take() {
    const std::scoped_lock lock(mutex_);
    if (contexts_.empty()) return std::make_unique<context>();
    std::unique_ptr<context> last = std::move(contexts_.back());
    contexts_.pop_back();
    return last;
  }
  void give_back(std::unique_ptr<context> used) {
    const std::scoped_lock lock(mutex_);
    contexts_.push_back(std::move(used));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<context>> contexts_;
};

/// Runs body(context) with a context from the pool.
template <class Body>
void lend_context(const caller& /*from*/, const Body& body) {
  // Never destroyed, since XLA's threads may still run when static objects are destroyed.
  static idle_contexts& idle = *new idle_contexts;
  std::unique_ptr<context> lent = idle.take();
  lent->threads = threads;
  body(*lent);  // if it throws, the context is destroyed
  idle.give_back(std::move(lent));
}

}  // namespace feaug_jax

template <>
struct xla::ffi::CtxDecoding<feaug_jax::caller> {
  using Type = feaug_jax::caller;
  static std::optional<Type> Decode(const XLA_FFI_Api* /*api*/, XLA_FFI_ExecutionContext* /*call*/,
                                    DiagnosticEngine& /*diagnostic*/) {
    return Type{};
  }
};
