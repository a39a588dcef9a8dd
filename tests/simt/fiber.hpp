// A fiber: a flow of control with its own stack. Every CUDA thread on the CPU is one.
//
// Switching takes a dozen instructions on x86-64, and swapcontext elsewhere. The sanitizers are
// notified of every switch: ASan gets the bounds of the new stack, TSan the identity of the fiber,
// so that it treats CUDA threads as threads.
#pragma once

#include <cstddef>
#include <memory>

namespace simt {

class fiber {
 public:
  /// The flow that is already running, for the scheduler.
  fiber();
  /// A fiber with a stack of `stack_bytes`, started by restart() and a switch.
  explicit fiber(std::size_t stack_bytes);
  ~fiber();
  fiber(const fiber&) = delete;
  fiber& operator=(const fiber&) = delete;

  /// The next switch to this fiber calls entry(). It must not return, but end with a switch with
  /// `last`.
  void restart(void (*entry)());

  /// Suspends `from`, which is running, and continues `to`. `last`: `from` will only be restarted,
  /// never resumed.
  static void switch_from_to(fiber& from, fiber& to, bool last = false);

  /// An entry function must call this first.
  static void entered();

 private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace simt
