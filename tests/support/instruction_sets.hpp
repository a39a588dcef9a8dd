// Runs a test body once for each instruction set that the machine supports.
#pragma once

#include <algorithm>
#include <catch2/catch.hpp>

#include "feaug/cpu/core/instruction_set.hpp"
#include "support/sanitizer.hpp"

namespace testing {

/// avx512 is left out where avx512_bf16 is supported, which adds one product to its kernels.
template <class Body>
void for_each_instruction_set(const Body& body) {
  using feaug::instruction_set;
  const instruction_set best = feaug::best_instruction_set();
  for (const auto newest : {instruction_set::portable, instruction_set::avx2,
                            instruction_set::avx512_bf16, instruction_set::amx}) {
    const instruction_set set = std::min(newest, best);
    // All sets share their rows and blocks among the threads in the same way.
    if (testing::is_thread_sanitized && set != best) continue;
    CAPTURE(static_cast<int>(set));
    body(set);
    if (set == best) return;
  }
}

}  // namespace testing
