// Handlers for JAX's CPU platform: contexts that calls borrow.
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

/// What a handler is told of its call, besides its arguments: on the CPU nothing.
struct caller {};

/// Contexts that no call uses at the moment. XLA calls from any of its threads, in turn: were a
/// context each thread's own, scratch memory and workers would be kept once for every core.
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

/// Runs body(context).
template <class Body>
void lend_context(const caller& /*from*/, const Body& body) {
  // Never destroyed: XLA's threads may still run when the process' static objects go.
  static idle_contexts& idle = *new idle_contexts;
  std::unique_ptr<context> lent = idle.take();
  lent->threads = threads;
  body(*lent);  // a context whose call threw goes with it
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
