// hypersphere: formula, edge cases.
#include "feaug/cpu/loss/hypersphere.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <vector>

#include "feaug/cpu/diagnostics/alignment.hpp"
#include "feaug/cpu/diagnostics/uniformity.hpp"
#include "loss/formula.hpp"
#include "support/test_matrix.hpp"

namespace hypersphere_test {

using feaug::index_t;
using testing::test_matrix;

namespace {

template <class S>
S squared_distance(const std::vector<S>& a, const std::vector<S>& b) {
  S sum = a[0] * 0.0;
  for (std::size_t j = 0; j < a.size(); ++j) {
    const S difference = a[j] - b[j];
    sum += difference * difference;
  }
  return sum;
}

const testing::registered_formula formula(
    "hypersphere", {"a", "b"}, []<class S>(const testing::formula_inputs<S>& in) {
      using std::pow;
      const auto uniformity = [&](const testing::rows_of<S>& units) {
        std::vector<S> exponents;
        for (index_t i = 0; i < units.size(); ++i) {
          for (index_t j = 0; j < i; ++j)
            exponents.push_back(squared_distance(units[i], units[j]) * -in.option("t", 1.0));
        }
        return S(testing::log_sum_exp(exponents) - std::log(static_cast<double>(exponents.size())));
      };
      const auto a = testing::directions(in.matrix("a"));
      const auto b = testing::directions(in.matrix("b"));
      S sum = (uniformity(a) + uniformity(b)) * (0.5 * in.option("lam", 1.0));
      for (index_t i = 0; i < a.size(); ++i) {
        sum += pow(squared_distance(a[i], b[i]), 0.5 * in.option("alpha", 2.0)) *
               (1.0 / static_cast<double>(a.size()));
      }
      return std::vector<S>{sum};
    });

}  // namespace

TEST_CASE("hypersphere agrees with the diagnostics alignment and uniformity", "[hypersphere]") {
  feaug::cpu_context ctx{.threads = 1};
  auto a = test_matrix<double>::normal(9, 4, 1);
  const auto b = test_matrix<double>::normal(9, 4, 2);
  a.fill_row(3, 0);
  const double apart = feaug::alignment(ctx, a.view(), b.view(), {.alpha = 1.5});
  const double spread =
      feaug::uniformity(ctx, a.view(), {.t = 3}) + feaug::uniformity(ctx, b.view(), {.t = 3});
  CHECK(feaug::hypersphere(ctx, a.view(), b.view(), {.t = 3, .lam = 0.5, .alpha = 1.5}) ==
        Approx(apart + 0.25 * spread).epsilon(1e-14));
}

TEST_CASE("hypersphere of equal views has gradient 0 for any alpha", "[hypersphere]") {
  feaug::cpu_context ctx{.threads = 1};
  const auto a = test_matrix<double>::normal(6, 3, 1);
  test_matrix<double> d_a(6, 3);
  for (const double alpha : {0.5, 1.0, 2.0, 3.0}) {
    CAPTURE(alpha);
    d_a.fill(5);
    CHECK(feaug::hypersphere_with_gradients(ctx, feaug::differentiable(a.view(), d_a.view()),
                                            feaug::stop_gradient(a.view()),
                                            {.lam = 0, .alpha = alpha}) == 0);
    CHECK(d_a.values() == std::vector<double>(18, 0.0));
  }
}

TEST_CASE("hypersphere of one feature", "[hypersphere]") {
  feaug::cpu_context ctx{.threads = 1};
  test_matrix<double> a(3, 1);
  test_matrix<double> b(3, 1);
  test_matrix<double> d_a(3, 1);
  for (index_t i = 0; i < 3; ++i) {
    a.set(i, 0, i < 2 ? 2 : -0.5);
    b.set(i, 0, i < 1 ? 3 : -1);
  }
  // One pair of views has distance 2; in each view, two of the three pairs of rows have distance 2.
  const double want = 8.0 / 3 + std::log((1 + 2 * std::exp(-4 * 0.5)) / 3);
  CHECK(feaug::hypersphere_with_gradients(ctx, feaug::differentiable(a.view(), d_a.view()),
                                          feaug::stop_gradient(b.view()),
                                          {.t = 0.5, .alpha = 3}) == Approx(want).epsilon(1e-14));
  for (const double gradient : d_a.values()) CHECK(std::abs(gradient) < 1e-14);
}

TEST_CASE("hypersphere of rows with extreme norms", "[hypersphere]") {
  auto a = test_matrix<float>::normal(5, 3, 1);
  auto b = test_matrix<float>::normal(5, 3, 2);
  a.fill_row(1, 0.0);
  b.fill_row(2, -1e18);
  a.fill_row(3, 1e-30);
  b.fill_row(4, 1e-13);
  feaug::cpu_context ctx{.threads = 1};
  for (const double t : {1e-3, 1.0, 1e3}) {
    CAPTURE(t);
    test_matrix<float> d_a(5, 3);
    test_matrix<float> d_b(5, 3);
    CHECK(std::isfinite(feaug::hypersphere_with_gradients(
        ctx, feaug::differentiable(a.view(), d_a.view()),
        feaug::differentiable(b.view(), d_b.view()), {.t = t, .alpha = 1})));
    for (const double v : d_a.values()) CHECK(std::isfinite(v));
    for (const double v : d_b.values()) CHECK(std::isfinite(v));
    for (index_t j = 0; j < 3; ++j) {
      CHECK((d_a.get(1, j) == 0 && d_a.get(3, j) == 0 && d_b.get(4, j) == 0));
      CHECK((d_a.get(0, j) != 0 && d_b.get(1, j) != 0));
    }
  }
}

}  // namespace hypersphere_test
