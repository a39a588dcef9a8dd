// Annotations for TSan, so that it reports races between CUDA threads and nothing else. Empty
// without TSan.
#pragma once

#include "support/sanitizer.hpp"

#if defined(FEAUG_TEST_TSAN)
#include <sanitizer/tsan_interface.h>

extern "C" {
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
}

/// TSan sees neither the function's accesses nor its calls and returns.
#define SIMT_UNSEEN_BY_TSAN __attribute__((no_sanitize("thread")))
#else
#define SIMT_UNSEEN_BY_TSAN
#endif

namespace simt {

/// While an object exists, TSan ignores this fiber's accesses, because they are the executor's
/// bookkeeping.
class bookkeeping {
 public:
#if defined(FEAUG_TEST_TSAN)
  bookkeeping() {
    AnnotateIgnoreReadsBegin("", 0);
    AnnotateIgnoreWritesBegin("", 0);
  }
  ~bookkeeping() {
    AnnotateIgnoreWritesEnd("", 0);
    AnnotateIgnoreReadsEnd("", 0);
  }
#else
  bookkeeping() {}
  ~bookkeeping() {}
#endif
  bookkeeping(const bookkeeping&) = delete;
  bookkeeping& operator=(const bookkeeping&) = delete;
};

/// A point that orders memory: writes before a release are visible after an acquire.
class ordering {
 public:
#if defined(FEAUG_TEST_TSAN)
  void release() { __tsan_release(&place_); }
  void acquire() { __tsan_acquire(&place_); }
#else
  void release() {}
  void acquire() {}
#endif

 private:
  [[maybe_unused]] char place_ = 0;
};

}  // namespace simt
