// Runs a test body once for each instruction set that the machine supports.
#pragma once

#include <catch2/catch.hpp>

#include "feaug/cpu/core/instruction_set.hpp"
#include "support/sanitizer.hpp"

namespace testing {

template <class Body>
void for_each_instruction_set(const Body& body) {
  using feaug::instruction_set;
  for (const auto set : {instruction_set::portable, instruction_set::avx2, instruction_set::avx512,
                         instruction_set::amx}) {
    if (set > feaug::best_instruction_set()) continue;
    // All sets share their rows and blocks among the threads in the same way.
    if (testing::is_thread_sanitized && set != feaug::best_instruction_set()) continue;
    CAPTURE(static_cast<int>(set));
    body(set);
  }
}

}  // namespace testing
