// Arithmetic on rows in double: every instruction set against loops in double, and rounding against
// feaug::store.
#include "feaug/cpu/core/row_arithmetic.hpp"

#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "support/instruction_sets.hpp"
#include "support/test_matrix.hpp"

namespace row_arithmetic_test {

using feaug::index_t;
using testing::for_each_instruction_set;
using testing::test_matrix;

template <class T>
double wide(T x) {
  return static_cast<double>(feaug::load(x));
}

TEMPLATE_TEST_CASE("row arithmetic agrees with loops in double", "[row_arithmetic]", float, double,
                   feaug::half, feaug::bfloat16) {
  using T = TestType;
  using C = feaug::compute_t<T>;
  constexpr double of_a = 0.37;
  constexpr double of_b = -1.9;
  const auto close = [](double got, double want) {
    return std::abs(got - want) <=
           4.0 * static_cast<double>(std::numeric_limits<C>::epsilon()) * (std::abs(want) + 1.0);
  };
  for_each_instruction_set([&](feaug::instruction_set set) {
    const feaug::instruction_set used = feaug::cpu::usable(set);
    for (const index_t cols : {0, 1, 7, 8, 9, 16, 31, 130}) {
      CAPTURE(cols);
      const auto a = test_matrix<T>::normal(1, cols, 1, 3);
      const auto b = test_matrix<T>::normal(1, cols, 2, 3);
      const auto start = test_matrix<C>::normal(1, cols, 3, 3);
      const T* const x = a.view().row(0);
      const T* const y = b.view().row(0);
      const auto at = [](index_t j) { return static_cast<std::size_t>(j); };
      // One number more than the row, which must stay as it is.
      const auto fresh = [&] {
        std::vector<C> row(at(cols) + 1, C{77});
        for (index_t j = 0; j < cols; ++j) row[at(j)] = start.view()(0, j);
        return row;
      };

      double want = 0;
      for (index_t j = 0; j < cols; ++j) want += (wide(x[j]) * of_a) * (wide(y[j]) * of_b);
      CHECK(std::abs(feaug::cpu::scaled_dot(used, x, of_a, y, of_b, cols) - want) <=
            1e-12 * static_cast<double>(cols + 1));

      std::vector<C> scaled = fresh();
      feaug::cpu::scale_row(used, x, cols, of_a, scaled.data());
      std::vector<C> added = fresh();
      feaug::cpu::add_scaled_row(used, x, of_a, of_b, cols, added.data());
      std::vector<C> through = fresh();
      feaug::cpu::through_unit_row(used, x, cols, of_a, of_b, through.data());
      bool agrees = true;
      for (index_t j = 0; j < cols; ++j) {
        const auto before = static_cast<double>(start.view()(0, j));
        agrees = agrees && close(static_cast<double>(scaled[at(j)]), wide(x[j]) * of_a);
        agrees =
            agrees && close(static_cast<double>(added[at(j)]), before + of_b * of_a * wide(x[j]));
        agrees = agrees && close(static_cast<double>(through[at(j)]),
                                 (before - wide(x[j]) * of_a * of_b) * of_a);
      }
      CHECK(agrees);
      for (const std::vector<C>& row : {scaled, added, through}) CHECK(row[at(cols)] == C{77});
    }
  });
}

TEMPLATE_TEST_CASE("store_row rounds like store", "[row_arithmetic]", feaug::half,
                   feaug::bfloat16) {
  using T = TestType;
  // Every 16-bit pattern as the upper half of a float, with lower halves at and beside a tie.
  std::vector<float> from;
  for (std::uint32_t high = 0; high < 65536; ++high) {
    for (const std::uint32_t low : {0U, 1U, 0x7FFFU, 0x8000U, 0x8001U, 0xFFFFU, 0x1000U, 0xF000U})
      from.push_back(std::bit_cast<float>(high << 16U | low));
  }
  for (int i = 0; i < 5; ++i) from.push_back(0.1F * static_cast<float>(i));  // an odd rest
  const auto count = static_cast<index_t>(from.size());
  for_each_instruction_set([&](feaug::instruction_set set) {
    std::vector<T> to(from.size());
    feaug::cpu::store_row<false, T>(feaug::cpu::usable(set), from.data(), count, to.data());
    index_t different = 0;
    for (std::size_t i = 0; i < from.size(); ++i) {
      const T want = feaug::store<T>(from[i]);
      const bool both_nan = std::isnan(from[i]) && std::isnan(feaug::load(to[i]));
      different += !both_nan && !(to[i] == want);
    }
    CHECK(different == 0);

    std::vector<T> sums(from.size(), feaug::store<T>(1.5F));
    feaug::cpu::store_row<true, T>(feaug::cpu::usable(set), from.data(), count, sums.data());
    different = 0;
    for (std::size_t i = 0; i < from.size(); ++i) {
      const T want = feaug::store<T>(1.5F + from[i]);
      const bool both_nan = std::isnan(from[i]) && std::isnan(feaug::load(sums[i]));
      different += !both_nan && !(sums[i] == want);
    }
    CHECK(different == 0);
  });
}

}  // namespace row_arithmetic_test
