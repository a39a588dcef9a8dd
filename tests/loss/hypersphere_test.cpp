// hypersphere against its formula, automatic differentiation and central differences; and at the
// edges.
#include "feaug/cpu/loss/hypersphere.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include "feaug/cpu/diagnostics/alignment.hpp"
#include "feaug/cpu/diagnostics/uniformity.hpp"
#include "loss/batch_loss_test.hpp"

namespace hypersphere_test {

using feaug::index_t;
using testing::test_matrix;

namespace {

struct hypersphere_loss {
  static constexpr const char* name = "hypersphere";
  using options = feaug::hypersphere_options;

  template <class S>
  static testing::rows_of<S> unit_rows(const testing::rows_of<S>& x) {
    using std::sqrt;
    testing::rows_of<S> units = x;
    for (std::vector<S>& row : units.row) {
      const S norm = sqrt(testing::dot(row, row));
      for (S& element : row) element = element / norm;
    }
    return units;
  }
  template <class S>
  static S squared_distance(const std::vector<S>& a, const std::vector<S>& b) {
    S sum = a[0] * 0.0;
    for (std::size_t j = 0; j < a.size(); ++j) {
      const S difference = a[j] - b[j];
      sum += difference * difference;
    }
    return sum;
  }
  template <class S>
  static S uniformity(const testing::rows_of<S>& units, double t) {
    std::vector<S> exponents;
    for (index_t i = 0; i < units.size(); ++i) {
      for (index_t j = 0; j < i; ++j)
        exponents.push_back(squared_distance(units[i], units[j]) * -t);
    }
    return testing::log_sum_exp(exponents) - std::log(static_cast<double>(exponents.size()));
  }
  template <class S>
  static S formula(const testing::rows_of<S>& a, const testing::rows_of<S>& b, const options& how) {
    using std::pow;
    const testing::rows_of<S> x = unit_rows(a);
    const testing::rows_of<S> y = unit_rows(b);
    S sum = (uniformity(x, how.t) + uniformity(y, how.t)) * (0.5 * how.lam);
    for (index_t i = 0; i < x.size(); ++i) {
      sum += pow(squared_distance(x[i], y[i]), 0.5 * how.alpha) *
             (1.0 / static_cast<double>(x.size()));
    }
    return sum;
  }
  static constexpr auto forward = [](auto&&... in) { feaug::hypersphere(in...); };
  static constexpr auto backward = [](auto&&... in) { feaug::hypersphere_backward(in...); };
  template <class A, class B>
  static auto forward_number(feaug::cpu_context& ctx, const A& a, const B& b, const options& how) {
    return feaug::hypersphere(ctx, a, b, how);
  }
  template <class T>
  static auto with_gradients(feaug::cpu_context& ctx, const feaug::operand<T>& a,
                             const feaug::operand<T>& b, const options& how) {
    return feaug::hypersphere_with_gradients(ctx, a, b, how);
  }
  template <class T>
  static void with_gradients(feaug::cpu_context& ctx, const feaug::operand<T>& a,
                             const feaug::operand<T>& b, const feaug::vector_view<T>& loss,
                             const options& how) {
    feaug::hypersphere_with_gradients(ctx, a, b, loss, how);
  }
};

}  // namespace

TEMPLATE_TEST_CASE("hypersphere and its gradients are the formula's", "[hypersphere]", double,
                   float) {
  testing::check_batch_loss<TestType>(hypersphere_loss{}, 5, 4, {});
  testing::check_batch_loss<TestType>(hypersphere_loss{}, 2, 5, {.t = 0.25, .alpha = 1});
  testing::check_batch_loss<TestType>(hypersphere_loss{}, 6, 3, {.t = 3, .lam = -2, .alpha = 3.5});
  // No one shift does for all exponentials.
  testing::check_batch_loss<TestType>(hypersphere_loss{}, 7, 3, {.t = 400});
  // Each term alone.
  testing::check_batch_loss<TestType>(hypersphere_loss{}, 6, 3, {.lam = 0});
  testing::check_batch_loss<TestType>(hypersphere_loss{}, 6, 3, {.lam = 1e6});
}

TEMPLATE_TEST_CASE("hypersphere of 16-bit features", "[hypersphere]", feaug::half,
                   feaug::bfloat16) {
  testing::check_batch_loss<TestType>(hypersphere_loss{}, 5, 3, {});
}

TEST_CASE("hypersphere gives the same bits for any number of threads", "[hypersphere]") {
  testing::check_batch_threads(hypersphere_loss{});
}

TEST_CASE("hypersphere is what the diagnostics say", "[hypersphere]") {
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

TEST_CASE("hypersphere of views that agree pulls at nothing, whatever the power", "[hypersphere]") {
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
  // One pair of views is 2 apart, and in each view two pairs of three rows are.
  const double want = 8.0 / 3 + std::log((1 + 2 * std::exp(-4 * 0.5)) / 3);
  CHECK(feaug::hypersphere_with_gradients(ctx, feaug::differentiable(a.view(), d_a.view()),
                                          feaug::stop_gradient(b.view()),
                                          {.t = 0.5, .alpha = 3}) == Approx(want).epsilon(1e-14));
  for (const double gradient : d_a.values()) CHECK(std::abs(gradient) < 1e-14);
}

TEST_CASE("hypersphere of rows of extreme lengths", "[hypersphere]") {
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

TEST_CASE("hypersphere and numbers that are not", "[hypersphere]") {
  testing::check_batch_not_finite(hypersphere_loss{});
}

TEST_CASE("bad arguments of hypersphere", "[hypersphere][misuse]") {
  testing::check_batch_misuse(hypersphere_loss{});
  const auto x = test_matrix<float>::normal(4, 3, 1);
  feaug::cpu_context ctx{.threads = 1};
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto says = [&](const feaug::hypersphere_options& options) {
    return testing::message_of([&] { feaug::hypersphere(ctx, x.view(), x.view(), options); });
  };
  CHECK(says({.t = 0}) == "hypersphere: t: got 0, wanted a finite number above 0");
  CHECK(says({.t = nan}) == "hypersphere: t: got nan, wanted a finite number above 0");
  CHECK(says({.lam = nan}) == "hypersphere: lam: got nan, wanted a finite number");
  CHECK(says({.alpha = 0}) == "hypersphere: alpha: got 0, wanted a finite number above 0");
}

}  // namespace hypersphere_test
