// Rows in double, and norms of several rows at once: the same bits with every instruction set.
#include "feaug/cpu/core/widen.hpp"

#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "feaug/core/l2_norm.hpp"
#include "feaug/cpu/core/l2_norm.hpp"
#include "support/instruction_sets.hpp"
#include "support/test_matrix.hpp"

namespace widen_test {

using feaug::index_t;
using testing::for_each_instruction_set;
using testing::test_matrix;

TEMPLATE_TEST_CASE("widen converts every number of 16 bits", "[widen]", feaug::half,
                   feaug::bfloat16) {
  std::vector<TestType> from;
  for (std::uint32_t bits = 0; bits < 65536; ++bits)
    from.push_back({.bits = static_cast<std::uint16_t>(bits)});
  for_each_instruction_set([&](feaug::instruction_set set) {
    for (const std::size_t count : {from.size(), std::size_t{0}, std::size_t{13}}) {
      std::vector<double> to(count + 1, -1.0);
      feaug::cpu::widen(feaug::cpu::usable(set), from.data(), static_cast<index_t>(count),
                        to.data());
      CHECK(std::bit_cast<std::uint64_t>(to[count]) == std::bit_cast<std::uint64_t>(-1.0));
      index_t different = 0;
      for (std::size_t i = 0; i < count; ++i) {
        const auto want = static_cast<double>(feaug::load(from[i]));
        // Conversions make a signalling NaN a quiet one.
        const bool both_nan = std::isnan(want) && std::isnan(to[i]);
        different +=
            !both_nan && std::bit_cast<std::uint64_t>(to[i]) != std::bit_cast<std::uint64_t>(want);
      }
      CHECK(different == 0);
    }
  });
}

TEMPLATE_TEST_CASE("inverse_norms has the bits of row_norm", "[l2_norm]", float, double,
                   feaug::half, feaug::bfloat16) {
  using T = TestType;
  for_each_instruction_set([](feaug::instruction_set set) {
    feaug::cpu_context ctx{.threads = 1, .instructions = set};
    for (const index_t cols : {0, 1, 7, 8, 63, 64, 65, 200}) {
      for (const index_t rows : {1, 3, 4, 5, 9}) {
        CAPTURE(cols, rows);
        auto x = test_matrix<T>::normal(rows, cols, 1, 3);
        const auto view = x.view();
        for (index_t j = 0; j < cols && rows > 2; ++j) view.row(1)[j] = feaug::store<T>(0);
        if (rows > 4 && cols > 7)
          view.row(4)[7] = feaug::store<T>(std::numeric_limits<feaug::compute_t<T>>::infinity());
        std::vector<double> inverse(static_cast<std::size_t>(rows));
        feaug::cpu::inverse_norms(ctx, view, feaug::default_norm_eps, inverse.data());
        for (index_t i = 0; i < rows; ++i) {
          const double want =
              feaug::inverse_norm(feaug::row_norm(view.row(i), cols), feaug::default_norm_eps);
          const double got = inverse[static_cast<std::size_t>(i)];
          CHECK(((std::isnan(want) && std::isnan(got)) ||
                 std::bit_cast<std::uint64_t>(got) == std::bit_cast<std::uint64_t>(want)));
        }
      }
    }
  });
}

}  // namespace widen_test
