// Repeats a test for every thread schedule of the CPU executor, with asynchronous copies completed
// at once and as late as allowed. On a GPU, which schedules threads itself, the test runs three
// times.
#pragma once

#include <cuda_runtime.h>

namespace device_test {

template <class Body>
void for_each_schedule(const Body& body) {
#if defined(FEAUG_SIMT)
  for (const auto order : {simt::schedule::forward, simt::schedule::reverse,
                           simt::schedule::shuffled, simt::schedule::warp_by_warp}) {
    for (const auto copies : {simt::copy_time::at_once, simt::copy_time::as_late_as_possible}) {
      simt::current_settings() = {.order = order, .copies = copies};
      body();
    }
  }
  simt::current_settings() = {};
#else
  for (int i = 0; i < 3; ++i) body();
#endif
}

}  // namespace device_test
