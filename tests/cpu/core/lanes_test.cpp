// Sums and maxima in vector lanes compared with plain loops: many lengths, and terms selected by a
// condition, which the compiler turns into masks.
#include "feaug/cpu/core/lanes.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "feaug/cpu/loss/logit_tile.hpp"

namespace lanes_test {

using feaug::index_t;
namespace cpu = feaug::cpu;

namespace {

/// Integers, whose sums are exact in any order, and a label per column.
template <class C>
struct labelled_row {
  std::vector<C> x;
  std::vector<index_t> label;

  explicit labelled_row(index_t count) {
    std::mt19937 generator(static_cast<unsigned>(count));
    std::uniform_int_distribution<int> draw(-1000, 1000);
    for (index_t j = 0; j < count; ++j) {
      x.push_back(static_cast<C>(draw(generator)));
      label.push_back(j % 7);
    }
  }
};

}  // namespace

TEMPLATE_TEST_CASE("terms selected by a condition are summed", "[lanes]", float, double) {
  using C = TestType;
  for (index_t count = 0; count < 300; count += count < 70 ? 1 : 23) {
    CAPTURE(count);
    const labelled_row<C> row(count);
    for (const index_t own : {index_t{0}, index_t{3}}) {
      const C* const x = row.x.data();
      const index_t* const label = row.label.data();
      double want = 0;
      for (index_t j = 0; j < count; ++j) {
        if (label[j] == own) want += static_cast<double>(x[j]);
      }
      CHECK(cpu::sum_of_terms<C>(count, [=](index_t j) {
              const C term = x[j];
              return label[j] == own ? term : C{0};
            }) == want);
    }
  }
}

TEMPLATE_TEST_CASE("terms with weight 0 are ignored, also infinite ones", "[lanes]", float,
                   double) {
  using C = TestType;
  for (index_t count = 0; count < 300; count += count < 70 ? 1 : 23) {
    CAPTURE(count);
    labelled_row<C> row(count);
    std::vector<C> weights(row.x.size());
    double want = 0;
    for (std::size_t j = 0; j < weights.size(); ++j) {
      weights[j] = static_cast<C>(row.label[j] % 3);
      if (weights[j] == C{0}) row.x[j] = -std::numeric_limits<C>::infinity();
      if (weights[j] != C{0})
        want += static_cast<double>(weights[j]) * static_cast<double>(row.x[j]);
    }
    CHECK(cpu::detail::sum_of_weighted(weights.data(), row.x.data(), count) == want);
  }
}

TEMPLATE_TEST_CASE("every position is visited once, and the maximum is found at any position",
                   "[lanes]", float, double) {
  using C = TestType;
  for (index_t count = 0; count < 70; ++count) {
    CAPTURE(count);
    std::vector<C> visits(static_cast<std::size_t>(count));
    cpu::for_each_in_lanes(count, [x = visits.data()](index_t j) { x[j] += C{1}; });
    CHECK(visits == std::vector<C>(visits.size(), C{1}));
    CHECK(cpu::sum_of(visits.data(), count) == static_cast<double>(count));
    for (std::size_t at = 0; at < visits.size(); ++at) {
      std::vector<C> x(visits.size(), std::numeric_limits<C>::quiet_NaN());
      x[at] = C{-5};
      CHECK(cpu::largest_of(x.data(), count) == C{-5});
    }
  }
  CHECK(cpu::largest_of<C>(nullptr, 0) == -std::numeric_limits<C>::infinity());
}

}  // namespace lanes_test
