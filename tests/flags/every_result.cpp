// Writes a hash of the results of a call of every operator, for each instruction set. It is compiled
// with several compiler flags, as a function RESULTS; the hashes must always be the same. TYPE is the
// type of the features.
#include <algorithm>
#include <limits>
#include <string>

// Programs may include it before feaug. The functions in it then have the flags, in spite of feaug's
// pragma.
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "feaug/feaug.hpp"
#include "support/every_call.hpp"
#include "support/host_call_arrays.hpp"

namespace {

using host_call_arrays = every_call::basic_host_call_arrays<TYPE>;

/// Normal rows; rows that differ little, so that rounding decides which is nearest; rows that are not
/// finite.
std::string inputs(host_call_arrays& memory, int kind) {
  if (kind == 1) memory.move_inputs_together(0.03F);
  if (kind == 2) {
    memory.set_element_of_x(3, 5, std::numeric_limits<float>::quiet_NaN());
    memory.set_element_of_x(7, 0, std::numeric_limits<float>::infinity());
    memory.set_element_of_x(8, 1, -std::numeric_limits<float>::infinity());
  }
  constexpr const char* names[] = {"normal", "close", "not finite"};
  return names[kind];
}

}  // namespace

extern "C" void RESULTS(std::string& text);  // declared, for -Wmissing-declarations

void RESULTS(std::string& text) {
  const feaug::instruction_set best = feaug::best_instruction_set();
  for (const auto newest : {feaug::instruction_set::portable, feaug::instruction_set::avx2,
                            feaug::instruction_set::avx512_bf16, feaug::instruction_set::amx}) {
    const auto set = std::min(newest, best);
    for (int kind = 0; kind < 3; ++kind) {
      host_call_arrays memory(130, 33);
      const std::string name = inputs(memory, kind);
      const auto arrays = memory.arrays();
      feaug::cpu_context ctx{.threads = 2, .instructions = set};
      for (const auto& call : every_call::all_calls<feaug::cpu_context, TYPE>()) {
        memory.reset();
        try {
          call.run(ctx, arrays);
        } catch (const feaug::argument_error& refused) {
          text += refused.what();
        }
        text += std::to_string(static_cast<int>(set)) + " " + name + " " + call.name + " " +
                std::to_string(memory.hash()) + "\n";
      }
    }
    if (set == best) return;
  }
}
