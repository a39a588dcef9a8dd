// Repeats a test for every thread schedule of the CPU executor and, if its kernels copy
// asynchronously, with copies completed at once and as late as allowed. On a GPU, which schedules
// threads itself, the test runs three times.
#pragma once

#include <cuda_runtime.h>

#include "support/sanitizer.hpp"

namespace device_test {

template <class Body>
void for_each_schedule(const Body& body) {
#if defined(FEAUG_SIMT)
  for (const auto order : {simt::schedule::forward, simt::schedule::reverse,
                           simt::schedule::shuffled, simt::schedule::warp_by_warp}) {
    const auto copies_before = simt::current_statistics().asynchronous_copies;
    for (const auto copies : {simt::copy_time::at_once, simt::copy_time::as_late_as_possible}) {
      simt::current_settings() = {.order = order, .copies = copies};
      body();
      if (simt::current_statistics().asynchronous_copies == copies_before) break;
    }
    if (testing::is_thread_sanitized) break;  // it sees a race in any order
  }
  simt::current_settings() = {};
#else
  for (int i = 0; i < 3; ++i) body();
#endif
}

}  // namespace device_test
