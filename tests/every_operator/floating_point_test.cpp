// The caller's floating-point control bits hold for the context's threads, too: results are the
// same for any number of threads.
#include <catch2/catch.hpp>
#include <cfenv>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "feaug/feaug.hpp"
#include "support/every_call.hpp"
#include "support/host_call_arrays.hpp"
#include "support/instruction_sets.hpp"

#if FEAUG_X86
#include <xmmintrin.h>
#endif

namespace floating_point_test {
namespace {

/// Sets the control bits of this thread during its lifetime.
class control_bits {
 public:
  enum class kind { usual, flush_to_zero, downward };

  explicit control_bits(kind wanted) {
    std::fegetenv(&before_);
#if FEAUG_X86
    constexpr unsigned flush = 0x8040;  // results and operands
    if (wanted == kind::flush_to_zero) _mm_setcsr(_mm_getcsr() | flush);
#endif
    if (wanted == kind::downward) std::fesetround(FE_DOWNWARD);
  }
  control_bits(const control_bits&) = delete;
  control_bits& operator=(const control_bits&) = delete;
  ~control_bits() { std::fesetenv(&before_); }

 private:
  std::fenv_t before_{};
};

/// A hash of the outputs of each call.
std::vector<std::pair<std::string, std::uint64_t>> hashes(feaug::cpu_context& ctx, float factor) {
  every_call::host_call_arrays memory(130, 17);
  memory.multiply_inputs(factor);
  const auto arrays = memory.arrays();
  std::vector<std::pair<std::string, std::uint64_t>> all;
  for (const auto& call : every_call::all_calls<feaug::cpu_context>()) {
    memory.reset();
    call.run(ctx, arrays);
    all.emplace_back(call.name, memory.hash());
  }
  return all;
}

}  // namespace

TEST_CASE("threads compute with the caller's control bits", "[context][floating_point]") {
  constexpr float subnormal = 1e-39F;  // times numbers around 1
  testing::for_each_instruction_set([&](feaug::instruction_set set) {
    std::vector<std::vector<std::pair<std::string, std::uint64_t>>> of_kind;
    for (const auto kind : {control_bits::kind::usual, control_bits::kind::flush_to_zero,
                            control_bits::kind::downward}) {
      for (const int threads : {1, 2, 3}) {
        CAPTURE(static_cast<int>(set), static_cast<int>(kind), threads);
        feaug::cpu_context ctx{.threads = threads, .instructions = set};
        hashes(ctx, 1);  // starts the threads before the bits are set
        std::vector<std::pair<std::string, std::uint64_t>> got;
        {
          const control_bits scope(kind);
          got = hashes(ctx, subnormal);
        }
        if (threads == 1) {
          of_kind.push_back(got);
        } else {
          CHECK(got == of_kind.back());
        }
        // The threads do not keep the bits.
        CHECK(hashes(ctx, subnormal) == of_kind.front());
      }
    }
    // The bits matter for these inputs.
    CHECK(of_kind[0] != of_kind[2]);
#if FEAUG_X86
    CHECK(of_kind[0] != of_kind[1]);
#endif
  });
}

}  // namespace floating_point_test
