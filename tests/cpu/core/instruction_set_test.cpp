// Selection of the instruction set of the CPU kernels.
#include "feaug/cpu/core/instruction_set.hpp"

#include <catch2/catch.hpp>

#include "feaug/cpu/core/context.hpp"

namespace instruction_set_test {

using feaug::instruction_set;

TEST_CASE("a context's instructions are an upper limit", "[core]") {
  const instruction_set best = feaug::best_instruction_set();
  CHECK(feaug::cpu::usable(feaug::cpu_context{}.instructions) == best);
  CHECK(feaug::cpu::usable(instruction_set::portable) == instruction_set::portable);
  for (const auto allowed :
       {instruction_set::portable, instruction_set::avx2, instruction_set::avx512,
        instruction_set::avx512_bf16, instruction_set::amx}) {
    CHECK(feaug::cpu::usable(allowed) <= allowed);
    CHECK(feaug::cpu::usable(allowed) <= best);
  }
}

}  // namespace instruction_set_test
