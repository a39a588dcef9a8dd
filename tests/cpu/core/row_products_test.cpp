// Inner products and weighted sums of rows for every instruction set, compared with double. The
// results for several rows at once must have the same bits as for each row alone.
#include "feaug/cpu/core/row_products.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <vector>

#include "support/instruction_sets.hpp"
#include "support/test_matrix.hpp"

namespace row_products_test {

using feaug::cpu_context;
using feaug::index_t;
using feaug::cpu::row_pointer;
using feaug::cpu::row_products;
using testing::for_each_instruction_set;
using testing::test_matrix;

namespace {

constexpr index_t most_rows = 9;
constexpr index_t widths[] = {0, 1, 15, 16, 17, 33, 64, 100};

template <class T>
struct rows_of {
  test_matrix<T> x;
  test_matrix<T> y;
  std::vector<row_pointer<T>> others;

  explicit rows_of(index_t cols)
      : x(test_matrix<T>::normal(1, cols, 1)), y(test_matrix<T>::normal(most_rows, cols, 2, 3)) {
    for (index_t k = 0; k < most_rows; ++k) others.push_back({y.view().row(k)});
  }
};

}  // namespace

TEMPLATE_TEST_CASE("multiply_rows multiplies a row with several rows", "[row_products]", float,
                   double, feaug::half, feaug::bfloat16) {
  using T = TestType;
  for_each_instruction_set([](feaug::instruction_set set) {
    const cpu_context ctx{.threads = 1, .instructions = set};
    for (const index_t cols : widths) {
      rows_of<T> rows(cols);
      const T* const x = rows.x.view().row(0);
      const auto alone = [&](const T* y) {
        const row_pointer<T> other = {y};
        row_products sums;
        feaug::cpu::multiply_rows(ctx, x, &other, 1, cols, &sums);
        return sums;
      };
      for (index_t count = 1; count <= most_rows; ++count) {
        CAPTURE(cols, count);
        std::vector<row_products> sums(static_cast<std::size_t>(count));
        const double square =
            feaug::cpu::multiply_rows(ctx, x, rows.others.data(), count, cols, sums.data());
        CHECK(square == alone(x).square);
        for (index_t k = 0; k < count; ++k) {
          const row_products& got = sums[static_cast<std::size_t>(k)];
          const row_products single = alone(rows.y.view().row(k));
          CHECK(got.square == single.square);
          CHECK(got.product == single.product);
          double product = 0;
          double own = 0;
          for (index_t j = 0; j < cols; ++j) {
            product += rows.x.get(0, j) * rows.y.get(k, j);
            own += rows.y.get(k, j) * rows.y.get(k, j);
          }
          CHECK(got.product == Approx(product).epsilon(1e-13).margin(1e-13));
          CHECK(got.square == Approx(own).epsilon(1e-13));
        }
      }
    }
  });
}

TEMPLATE_TEST_CASE("write_weighted is a weighted sum of rows", "[row_products]", float, double,
                   feaug::half) {
  using T = TestType;
  for_each_instruction_set([](feaug::instruction_set set) {
    const cpu_context ctx{.threads = 1, .instructions = set};
    std::vector<double> factors;
    for (index_t k = 0; k < most_rows; ++k) factors.push_back(0.3 * static_cast<double>(k) - 1.0);
    for (const index_t cols : widths) {
      rows_of<T> rows(cols);
      for (const index_t count : {index_t{0}, index_t{1}, index_t{4}, most_rows}) {
        for (const bool adds : {false, true}) {
          CAPTURE(cols, count, adds);
          test_matrix<T> out(1, cols, 5);
          out.fill(2.0);
          feaug::cpu::write_weighted<T>(ctx,
                                        {.x = rows.x.view().row(0),
                                         .own = -0.7,
                                         .others = rows.others.data(),
                                         .factors = factors.data(),
                                         .count = count,
                                         .scale = 1.9},
                                        cols, adds, out.view().row(0));
          CHECK(out.padding_intact());
          std::vector<double> want;
          for (index_t j = 0; j < cols; ++j) {
            double sum = -0.7 * rows.x.get(0, j);
            for (index_t k = 0; k < count; ++k)
              sum += factors[static_cast<std::size_t>(k)] * rows.y.get(k, j);
            want.push_back(1.9 * sum + (adds ? 2.0 : 0.0));
          }
          CHECK(testing::relative_error(out.values(), want) <= testing::tolerance<T>());
        }
      }
    }
  });
}

}  // namespace row_products_test
