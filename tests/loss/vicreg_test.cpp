// vicreg: formula, edge cases.
#include "feaug/cpu/loss/vicreg.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <vector>

#include "loss/centred_columns.hpp"
#include "support/test_matrix.hpp"

namespace vicreg_test {

using feaug::index_t;
using testing::test_matrix;

namespace {

const testing::registered_formula formula(
    "vicreg", {"a", "b"}, []<class S>(const testing::formula_inputs<S>& in) {
      using std::sqrt;
      const auto a = in.matrix("a");
      const auto b = in.matrix("b");
      const auto cols = static_cast<double>(a[0].size());
      const auto count = static_cast<double>(a.size()) * cols;
      S sum = a[0][0] * 0.0;
      for (index_t i = 0; i < a.size(); ++i) {
        for (std::size_t j = 0; j < a[0].size(); ++j) {
          const S difference = a[i][j] - b[i][j];
          sum += difference * difference * (in.option("invariance", 25.0) / count);
        }
      }
      for (const auto& view : {a, b}) {
        const auto columns = testing::centred_columns(view);
        const auto unbiased = static_cast<double>(view.size() - 1);
        for (std::size_t j = 0; j < columns.size(); ++j) {
          const S variance = testing::dot(columns[j], columns[j]) / unbiased;
          const S deviation = sqrt(variance + in.option("eps", 1e-4));
          if (!(deviation >= S(1.0)))  // NaN as well
            sum += (deviation * -1.0 + 1.0) * (0.5 * in.option("variance", 25.0) / cols);
          for (std::size_t k = 0; k < columns.size(); ++k) {
            if (k == j) continue;
            const S c = testing::dot(columns[j], columns[k]) / unbiased;
            sum += c * c * (in.option("covariance", 1.0) / cols);
          }
        }
      }
      return std::vector<S>{sum};
    });

}  // namespace

TEST_CASE("vicreg of collapsed views and of decorrelated views", "[vicreg]") {
  feaug::cpu_context ctx{.threads = 1};
  test_matrix<double> same(5, 2);
  same.fill(3);
  test_matrix<double> d_a(5, 2);
  // Standard deviations are √eps = 0.01 in both views; the gradient of a variance of 0 is 0.
  CHECK(feaug::vicreg_with_gradients(ctx, feaug::differentiable(same.view(), d_a.view()),
                                     feaug::stop_gradient(same.view())) == Approx(25 * 0.99));
  CHECK(d_a.values() == std::vector<double>(10, 0.0));
  // Orthogonal columns with standard deviations above 1: the loss is 0.
  test_matrix<double> spread(4, 2);
  for (index_t i = 0; i < 4; ++i) {
    spread.set(i, 0, i < 2 ? 2 : -2);
    spread.set(i, 1, i % 2 == 0 ? 3 : -3);
  }
  test_matrix<double> d_b(4, 2);
  CHECK(feaug::vicreg_with_gradients(ctx, feaug::differentiable(spread.view(), d_b.view()),
                                     feaug::stop_gradient(spread.view())) == 0);
  CHECK(d_b.values() == std::vector<double>(8, 0.0));
  // A large offset changes only rounding errors.
  auto a = test_matrix<double>::normal(30, 3, 1);
  const double near = feaug::vicreg(ctx, a.view(), a.view());
  for (index_t i = 0; i < 30; ++i) {
    for (index_t j = 0; j < 3; ++j) a.set(i, j, a.get(i, j) + 1e8);
  }
  CHECK(feaug::vicreg(ctx, a.view(), a.view()) == Approx(near).epsilon(1e-6));
}

}  // namespace vicreg_test
