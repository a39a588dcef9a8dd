// `feaug_cpu_fault NAME` provokes one fault in feaug's CPU code that only a sanitizer detects.
// Tests expect the sanitizer's report.
#include <atomic>
#include <cstddef>
#include <cstring>
#include <iostream>
#include <limits>
#include <vector>

#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/add_row.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/cpu/core/parallel.hpp"

namespace cpu_faults {

using feaug::index_t;

/// Two threads of a context's pool write the same number while both process their block.
void race() {
  feaug::cpu_context ctx{.threads = 2};
  std::atomic<int> begun = 0;
  index_t last = 0;
  feaug::cpu::for_each_block(ctx, 2, [&](index_t block, int) {
    begun.fetch_add(1, std::memory_order_relaxed);
    while (begun.load(std::memory_order_relaxed) < 2) {
    }
    last = block;
  });
}

/// Adds 32 elements of `from` to the 16 elements of `to`.
void add_too_much(feaug::instruction_set instructions) {
  const std::vector<float> from(32, 1);
  std::vector<float> to(16);
  feaug::cpu::add_row(instructions, from.data(), 32, to.data());
}

void row_overrun() { add_too_much(feaug::instruction_set::portable); }

void vector_overrun() { add_too_much(feaug::best_instruction_set()); }

/// The row's address is not aligned for float.
void misaligned_row() {
  std::vector<float> memory(9);
  auto* const bytes = reinterpret_cast<std::byte*>(memory.data());
  auto* const row = reinterpret_cast<float*>(bytes + 1);
  feaug::cpu::add_row(feaug::instruction_set::portable, row, 8, row);
}

/// So many rows that rounding up to whole blocks overflows index_t.
void overflow() {
  feaug::cpu_context ctx{.threads = 1};
  constexpr index_t most = std::numeric_limits<index_t>::max();
  feaug::cpu::for_each_row_block(ctx, most, 1, [](index_t, index_t, int) {});
}

}  // namespace cpu_faults

int main(int argc, char** argv) {
  const char* name = argc == 2 ? argv[1] : "";
  const struct {
    const char* name;
    void (*run)();
  } faults[] = {
      {"race", cpu_faults::race},
      {"row_overrun", cpu_faults::row_overrun},
      {"vector_overrun", cpu_faults::vector_overrun},
      {"misaligned_row", cpu_faults::misaligned_row},
      {"overflow", cpu_faults::overflow},
  };
  for (const auto& fault : faults) {
    if (std::strcmp(fault.name, name) != 0) continue;
    fault.run();
    std::cout << "nothing was noticed\n";
    return 0;
  }
  std::cerr << "usage: feaug_cpu_fault race|row_overrun|vector_overrun|misaligned_row|overflow\n";
  return 2;
}
