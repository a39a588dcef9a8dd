// The thread's floating-point control bits: rounding, flush-to-zero, denormals-are-zero, trap masks.
//
// A program may set them for its own thread, after the threads of a context have started. Each call
// therefore gives its worker threads the caller's bits; otherwise results would depend on which
// thread computes them. The status flags (inexact, invalid, …) of each thread are left
// alone, and so is the x87 unit, which feaug does not use.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// The control bits of the thread that constructs it.
class floating_point_control {
 public:
  floating_point_control() : bits_(read() & control) {}

  /// Gives them to the current thread.
  void apply() const { write(bits_); }

 private:
#if FEAUG_X86
  using word = unsigned int;
  static constexpr word control = 0xFFC0U;  // the other bits of MXCSR are status flags
  static word read() { return _mm_getcsr(); }
  static void write(word bits) { _mm_setcsr((read() & ~control) | bits); }
#elif defined(__aarch64__)
  using word = unsigned long long;
  static constexpr word control = ~0ULL;  // FPCR has no status flags
  static word read() {
    word bits = 0;
    __asm__ __volatile__("mrs %0, fpcr" : "=r"(bits));
    return bits;
  }
  static void write(word bits) { __asm__ __volatile__("msr fpcr, %0" : : "r"(bits)); }
#else
  using word = unsigned int;
  static constexpr word control = 0;
  static word read() { return 0; }
  static void write(word /*bits*/) {}
#endif

  word bits_;
};

/// Gives the current thread other control bits during its lifetime.
class floating_point_scope {
 public:
  explicit floating_point_scope(const floating_point_control& wanted) { wanted.apply(); }
  floating_point_scope(const floating_point_scope&) = delete;
  floating_point_scope& operator=(const floating_point_scope&) = delete;
  ~floating_point_scope() { before_.apply(); }

 private:
  floating_point_control before_;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
