// barlow_twins: formula, moments in strips, edge cases.
#include "feaug/cpu/loss/barlow_twins.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "feaug/cpu/core/columns.hpp"
#include "feaug/cpu/loss/cross_moments.hpp"
#include "loss/centred_columns.hpp"
#include "support/test_matrix.hpp"

namespace barlow_twins_test {

using feaug::index_t;
using testing::test_matrix;

namespace {

const testing::registered_formula formula(
    "barlow_twins", {"a", "b"}, []<class S>(const testing::formula_inputs<S>& in) {
      using std::sqrt;
      const auto standardised = [&](const std::string& name) {
        auto columns = testing::centred_columns(in.matrix(name));
        for (std::vector<S>& column : columns) {
          const S variance = testing::dot(column, column) / static_cast<double>(column.size());
          const S deviation = sqrt(variance + in.option("eps", 1e-5));
          for (S& v : column) v = v / deviation;
        }
        return columns;
      };
      const auto a = standardised("a");
      const auto b = standardised("b");
      S sum = a[0][0] * 0.0;
      for (std::size_t j = 0; j < a.size(); ++j) {
        for (std::size_t k = 0; k < b.size(); ++k) {
          const S c = testing::dot(a[j], b[k]) / static_cast<double>(a[j].size());
          const S missing = c * -1.0 + 1.0;
          sum += j == k ? S(missing * missing) : S(c * c * in.option("lambda", 5e-3));
        }
      }
      return std::vector<S>{sum};
    });

}  // namespace

TEST_CASE("barlow_twins of two rows depends on signs only", "[barlow_twins]") {
  // Standardised values of two rows are ±1 (eps is negligible), so every element of C is ±1.
  const auto a = test_matrix<double>::normal(2, 3, 1);
  feaug::cpu_context ctx{.threads = 1};
  CHECK(feaug::barlow_twins(ctx, a.view(), a.view(), {.lambda = 0.5, .eps = 1e-14}) ==
        Approx(0.5 * 6));
}

TEST_CASE("barlow_twins stays accurate for large means", "[barlow_twins]") {
  const auto a = test_matrix<double>::normal(40, 3, 1);
  const auto b = test_matrix<double>::normal(40, 3, 2);
  auto far = a;
  for (index_t i = 0; i < 40; ++i) {
    for (index_t j = 0; j < 3; ++j) far.set(i, j, a.get(i, j) + 1e8);
  }
  feaug::cpu_context ctx{.threads = 1};
  // After the offset, doubles hold the elements of a to about 1e-8.
  CHECK(feaug::barlow_twins(ctx, far.view(), b.view()) ==
        Approx(feaug::barlow_twins(ctx, a.view(), b.view())).epsilon(1e-7));
  auto large = a;
  for (index_t i = 0; i < 40; ++i) {
    for (index_t j = 0; j < 3; ++j) large.set(i, j, a.get(i, j) * 1e18);
  }
  CHECK(feaug::barlow_twins(ctx, large.view(), b.view(), {.eps = 1e-12}) ==
        Approx(feaug::barlow_twins(ctx, a.view(), b.view(), {.eps = 1e-12})).epsilon(1e-9));
}

TEST_CASE("barlow_twins of constant features", "[barlow_twins]") {
  auto a = test_matrix<float>::normal(6, 3, 1);
  for (index_t i = 0; i < 6; ++i) a.set(i, 1, 0.25);
  feaug::cpu_context ctx{.threads = 1};
  test_matrix<float> d_a(6, 3);
  const float loss =
      feaug::barlow_twins_with_gradients(ctx, feaug::differentiable(a.view(), d_a.view()),
                                         feaug::stop_gradient(a.view()), {.lambda = 0});
  CHECK(loss == Approx(1).epsilon(1e-3));  // that feature's (1 − 0)²
  for (index_t i = 0; i < 6; ++i) CHECK(std::isfinite(d_a.get(i, 1)));
}

TEST_CASE("moments are equal for strips of any size", "[barlow_twins]") {
  const index_t rows = 9;
  const index_t cols = 21;
  const auto a = test_matrix<double>::normal(rows, cols, 1);
  const auto b = test_matrix<double>::normal(rows, cols, 2);
  feaug::cpu_context ctx{.threads = 2};
  std::vector<double> mean_a(cols);
  std::vector<double> mean_b(cols);
  std::vector<double> squares(cols);
  feaug::cpu::column_moments<double>(ctx, {.x = a.view()}, mean_a.data(), squares.data());
  feaug::cpu::column_moments<double>(ctx, {.x = b.view()}, mean_b.data(), squares.data());
  const feaug::scaled_columns<double> x = {.x = a.view(), .mean = mean_a.data()};
  const feaug::scaled_columns<double> y = {.x = b.view(), .mean = mean_b.data()};
  const auto moment = [&](index_t j, index_t k) {
    double sum = 0;
    for (index_t i = 0; i < rows; ++i) sum += x(i, j) * y(i, k);
    return 0.5 * sum;
  };
  for (const index_t elements : {1, 3 * 21, 8 * 21 + 5, 1000}) {
    CAPTURE(elements);
    test_matrix<double> sums(rows, cols, 1);
    std::vector<double> diagonal(cols, std::numeric_limits<double>::quiet_NaN());
    std::vector<double> off = diagonal;
    feaug::cpu::cross_moments_pass<double>(
        ctx, {.x = x, .y = y, .scale = 0.5, .strip_elements = elements},
        [&](index_t j, double on, double others) {
          diagonal[static_cast<std::size_t>(j)] = on;
          off[static_cast<std::size_t>(j)] = others;
        },
        feaug::differentiable(a.view(), sums.view()),
        [](index_t, index_t, double sum) { return sum; });
    for (index_t j = 0; j < cols; ++j) {
      double others = 0;
      for (index_t k = 0; k < cols; ++k) others += k == j ? 0 : moment(j, k) * moment(j, k);
      CHECK(diagonal[static_cast<std::size_t>(j)] == Approx(moment(j, j)).epsilon(1e-12));
      CHECK(off[static_cast<std::size_t>(j)] == Approx(others).epsilon(1e-12));
      double sum = 0;
      for (index_t k = 0; k < cols; ++k) sum += k == j ? 0 : moment(j, k) * y(4, k);
      CHECK(sums.get(4, j) == Approx(sum).epsilon(1e-11));
    }
    CHECK(sums.padding_intact());
  }
}

}  // namespace barlow_twins_test
