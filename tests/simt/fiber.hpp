// A flow of control with a stack of its own: what every CUDA thread is on the CPU.
//
// Switching is a dozen instructions on x86-64 and swapcontext elsewhere. The sanitizers are told of
// every switch: ASan the bounds of the stack that is entered, TSan the identity of the flow, so
// that it takes CUDA threads for threads.
#pragma once

#include <cstddef>
#include <memory>

namespace simt {

class fiber {
 public:
  /// The flow that is running already: the scheduler's own.
  fiber();
  /// A flow with a stack of `stack_bytes` that begins with restart().
  explicit fiber(std::size_t stack_bytes);
  ~fiber();
  fiber(const fiber&) = delete;
  fiber& operator=(const fiber&) = delete;

  /// The next switch to this fiber calls entry(), which ends with a last switch away and never
  /// returns.
  void restart(void (*entry)());

  /// Suspends `from`, which is running, and goes on with `to`. `last`: `from` will only ever be
  /// restarted.
  static void switch_from_to(fiber& from, fiber& to, bool last = false);

  /// To be called first by an entry function.
  static void entered();

 private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace simt
