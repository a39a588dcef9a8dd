// The first exception of several threads that work together.
#pragma once

#include "feaug/header_begin.hpp"

#include <exception>
#include <mutex>
#include <utility>

#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

class first_exception {
 public:
  /// Calls function() and keeps what it throws, if nothing is kept yet. From any thread.
  template <class Function>
  void keep_of(const Function& function) {
    try {
      function();
    } catch (...) {
      const std::scoped_lock lock(mutex_);
      if (kept_ == nullptr) kept_ = std::current_exception();
    }
  }

  /// Throws what is kept, if anything, and forgets it. When the threads are finished.
  void rethrow() {
    if (kept_ != nullptr) std::rethrow_exception(std::exchange(kept_, nullptr));
  }

 private:
  std::mutex mutex_;
  std::exception_ptr kept_;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
