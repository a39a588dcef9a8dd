// sigmoid against its formula, automatic differentiation and central differences; and at the edges.
#include "feaug/cpu/loss/sigmoid.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include "feaug/cpu/loss/logistic.hpp"
#include "loss/two_view_test.hpp"

namespace sigmoid_test {

using feaug::accumulate;
using feaug::differentiable;
using feaug::index_t;
using feaug::reduce;
using feaug::stop_gradient;
using testing::test_matrix;

namespace {

struct sigmoid_loss {
  static index_t losses(index_t rows) { return rows; }
  static index_t statistics(index_t /*rows*/) { return 0; }
  template <class T>
  static feaug::sigmoid_options<T> options_with(
      reduce reduction, const feaug::operand<feaug::compute_t<T>, 1>& scale,
      const feaug::operand<feaug::compute_t<T>, 1>& bias = {}) {
    return {.reduction = reduction, .learnable_scale = scale, .learnable_bias = bias};
  }
  template <class S>
  static std::vector<S> rows(const testing::rows_of<S>& a, const testing::rows_of<S>& b,
                             const S& scale, const S& bias) {
    return testing::sigmoid_rows(a, b, scale, bias);
  }
  static constexpr auto forward = [](auto& ctx, const auto& a, const auto& b, const auto& loss,
                                     const auto& options, const auto& /*statistics*/) {
    feaug::sigmoid(ctx, a, b, loss, options);
  };
  static constexpr auto backward =
      [](auto& ctx, const auto& a, const auto& b, const auto& /*statistics*/, const auto& cotangent,
         const auto& options) { feaug::sigmoid_backward(ctx, a, b, cotangent, options); };
  static constexpr auto with_gradients = [](auto&&... in) {
    return feaug::sigmoid_with_gradients(in...);
  };
};

}  // namespace

TEMPLATE_TEST_CASE("sigmoid and its gradients are the formula's", "[sigmoid]", double, float,
                   feaug::half, feaug::bfloat16) {
  const auto [rows, cols] = GENERATE(table<index_t, index_t>({{1, 3}, {3, 1}, {5, 4}, {9, 6}}));
  const reduce reduction = GENERATE(reduce::mean, reduce::sum, reduce::none);
  CAPTURE(rows, cols, static_cast<int>(reduction));
  testing::check_against_formula<TestType>(sigmoid_loss{}, rows, cols, {4.0, -1.5}, reduction);
  testing::check_against_formula<TestType>(sigmoid_loss{}, rows, cols, {-2.0, 0.5}, reduction);
}

TEST_CASE("sigmoid gives the same bits for any number of threads", "[sigmoid]") {
  testing::check_thread_counts(sigmoid_loss{});
}

TEST_CASE("sigmoid is finite for rows of any size", "[sigmoid]") {
  testing::check_extreme_rows(sigmoid_loss{}, {1e3F, -10.0F});
  testing::check_extreme_rows(sigmoid_loss{}, {1e3F, 1e6F});
}

TEST_CASE("sigmoid is right where tiles and chunks meet", "[sigmoid]") {
  const auto a = test_matrix<double>::normal(300, 17, 1);
  const auto b = test_matrix<double>::normal(300, 17, 2);
  feaug::cpu_context ctx{.threads = 2};
  const auto want =
      testing::sigmoid_rows(testing::rows_of<double>(a.values(), 0, 300, 17),
                            testing::rows_of<double>(b.values(), 0, 300, 17), 10.0, -10.0);
  std::vector<double> got(300);
  feaug::sigmoid(ctx, a.view(), b.view(), {got.data(), 300}, {.reduction = reduce::none});
  CHECK(testing::relative_error(got, want) < 1e-12);

  // The gradient of one loss by one element of each side, far from the first tile.
  test_matrix<double> d_a(300, 17);
  test_matrix<double> d_b(300, 17);
  feaug::sigmoid_with_gradients(ctx, differentiable(a.view(), d_a.view()),
                                differentiable(b.view(), d_b.view()), {.reduction = reduce::sum});
  const auto slope = [&](bool by_a, index_t i, index_t j) {
    const auto moved = [&](double by) {
      auto x = by_a ? a : b;
      x.set(i, j, x.get(i, j) + by);
      return feaug::sigmoid(ctx, by_a ? x.view() : a.view(), by_a ? b.view() : x.view(),
                            {.reduction = reduce::sum});
    };
    return (moved(1e-5) - moved(-1e-5)) / 2e-5;
  };
  CHECK(d_a.get(299, 16) == Approx(slope(true, 299, 16)).epsilon(1e-5).margin(1e-8));
  CHECK(d_b.get(270, 3) == Approx(slope(false, 270, 3)).epsilon(1e-5).margin(1e-8));
}

TEST_CASE("sigmoid's row weights, accumulation and gradient scale", "[sigmoid]") {
  const auto a = test_matrix<double>::normal(6, 4, 1, 2);
  const auto b = test_matrix<double>::normal(6, 4, 2);
  feaug::cpu_context ctx{.threads = 1};
  const std::vector<double> weights = {0.5, -1.0, 0.0, 2.0, 1.5, 1.0};
  double scale = 5;
  std::vector<double> numbers = {2.0, 3.0};
  test_matrix<double> want_a(6, 4);
  test_matrix<double> want_b(6, 4);
  double want_scale = 0;
  double want_bias = 0;
  double bias = -10;
  feaug::sigmoid_options<double> options = {
      .reduction = reduce::none,
      .learnable_scale = differentiable(feaug::scalar(scale), feaug::scalar(want_scale)),
      .learnable_bias = differentiable(feaug::scalar(bias), feaug::scalar(want_bias))};
  std::vector<double> losses(6);
  feaug::sigmoid(ctx, a.view(), b.view(), {losses.data(), 6}, options);
  feaug::sigmoid_backward(ctx, differentiable(a.view(), want_a.view()),
                          differentiable(b.view(), want_b.view()), {weights.data(), 6}, options);

  test_matrix<double> d_a(6, 4, 1);
  test_matrix<double> d_b(6, 4);
  d_a.fill(1.0);
  d_b.fill(-2.0);
  options.learnable_scale =
      accumulate(feaug::scalar(scale), feaug::vector_view<double>(numbers.data(), 1));
  options.learnable_bias =
      accumulate(feaug::scalar(bias), feaug::vector_view<double>(numbers.data() + 1, 1));
  options.row_weights = {weights.data(), 6};
  options.gradient_scale = 3;
  std::vector<double> weighted(6);
  feaug::sigmoid_with_gradients(ctx, accumulate(a.view(), d_a.view()),
                                accumulate(b.view(), d_b.view()), {weighted.data(), 6}, options);
  for (index_t i = 0; i < 6; ++i) {
    const auto at = static_cast<std::size_t>(i);
    CHECK(weighted[at] == Approx(weights[at] * losses[at]));
    for (index_t j = 0; j < 4; ++j) {
      CHECK(d_a.get(i, j) == Approx(1.0 + 3.0 * want_a.get(i, j)));
      CHECK(d_b.get(i, j) == Approx(-2.0 + 3.0 * want_b.get(i, j)));
    }
  }
  CHECK(numbers[0] == Approx(2.0 + 3.0 * want_scale));
  CHECK(numbers[1] == Approx(3.0 + 3.0 * want_bias));
}

TEST_CASE("sigmoid's numbers get their gradients with both sides stopped", "[sigmoid]") {
  const auto a = test_matrix<double>::normal(5, 3, 1);
  const auto b = test_matrix<double>::normal(5, 3, 2);
  feaug::cpu_context ctx{.threads = 1};
  double bias = 0.25;
  double d_bias = 0;
  feaug::sigmoid_options<double> options = {
      .scale = 3, .learnable_bias = differentiable(feaug::scalar(bias), feaug::scalar(d_bias))};
  feaug::sigmoid_with_gradients(ctx, stop_gradient(a.view()), stop_gradient(b.view()), options);
  const double slope = [&] {
    const double above = feaug::sigmoid(ctx, a.view(), b.view(), {.scale = 3, .bias = 0.25 + 1e-5});
    const double below = feaug::sigmoid(ctx, a.view(), b.view(), {.scale = 3, .bias = 0.25 - 1e-5});
    return (above - below) / 2e-5;
  }();
  CHECK(d_bias == Approx(slope).epsilon(1e-7));
}

TEST_CASE("sigmoid keeps its digits where the answer is certain", "[sigmoid]") {
  // One pair: the loss is e⁻⁴⁰ (1 + …), its gradient by the bias as much.
  test_matrix<double> a(1, 2);
  a.set(0, 0, 3);
  double bias = 30;
  double d_bias = 0;
  feaug::cpu_context ctx{.threads = 1};
  const double loss = feaug::sigmoid_with_gradients(
      ctx, stop_gradient(a.view()), stop_gradient(a.view()),
      {.learnable_bias = differentiable(feaug::scalar(bias), feaug::scalar(d_bias))});
  CHECK(loss == Approx(std::exp(-40.0)).epsilon(1e-12));
  CHECK(d_bias == Approx(-std::exp(-40.0)).epsilon(1e-12));

  // Two opposite pairs in float: the negatives have s = −40, and count all the same.
  test_matrix<float> x(2, 1);
  x.set(0, 0, 1);
  x.set(1, 0, -1);
  std::vector<float> losses(2);
  feaug::sigmoid(ctx, x.view(), x.view(), {losses.data(), 2},
                 {.scale = 60, .bias = 20, .reduction = reduce::none});
  CHECK(losses[0] == Approx(std::exp(-40.0)).epsilon(1e-5));
}

TEMPLATE_TEST_CASE("the logistic function's terms are exact to a few roundings", "[sigmoid]", float,
                   double) {
  using C = TestType;
  const double allowed = 8 * static_cast<double>(std::numeric_limits<C>::epsilon());
  std::vector<C> x;
  for (double s = -80; s <= 80; s += 0.37) x.push_back(static_cast<C>(s));
  const std::vector<C> s = x;
  std::vector<C> losses(x.size());
  feaug::cpu::logistic_terms<true>(x.data(), losses.data(), static_cast<index_t>(x.size()), C{1},
                                   C{0});
  for (std::size_t j = 0; j < x.size(); ++j) {
    const auto at = static_cast<long double>(s[j]);
    CAPTURE(s[j]);
    CHECK(static_cast<double>(x[j]) ==
          Approx(static_cast<double>(1 / (1 + std::exp(-at)))).epsilon(allowed).margin(0));
    CHECK(static_cast<double>(losses[j]) ==
          Approx(static_cast<double>(at > 0 ? at + std::log1p(std::exp(-at))
                                            : std::log1p(std::exp(at))))
              .epsilon(allowed)
              .margin(0));
  }
}

TEST_CASE("sigmoid and NaN: every row that reads it, and only those", "[sigmoid]") {
  const double bad =
      GENERATE(std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity());
  auto a = test_matrix<float>::normal(4, 3, 1);
  auto b = test_matrix<float>::normal(4, 3, 2);
  feaug::cpu_context ctx{.threads = 1};
  std::vector<float> losses(4);
  a.set(1, 2, bad);
  feaug::sigmoid(ctx, a.view(), b.view(), {losses.data(), 4}, {.reduction = reduce::none});
  CHECK(std::isnan(losses[1]));
  CHECK((std::isfinite(losses[0]) && std::isfinite(losses[2]) && std::isfinite(losses[3])));
  feaug::sigmoid(ctx, b.view(), a.view(), {losses.data(), 4}, {.reduction = reduce::none});
  for (const float loss : losses) CHECK(std::isnan(loss));
}

TEST_CASE("sigmoid of equal rows", "[sigmoid]") {
  test_matrix<double> a(4, 3);
  a.fill(0.5);
  feaug::cpu_context ctx{.threads = 1};
  // s = 2 − 1 everywhere: softplus(−1) + 3·softplus(1).
  CHECK(feaug::sigmoid(ctx, a.view(), a.view(), {.scale = 2, .bias = -1}) ==
        Approx(std::log1p(std::exp(-1.0)) + 3 * std::log1p(std::exp(1.0))));
  // Rows as they are: s = 2·0.75 − 1.
  CHECK(feaug::sigmoid(ctx, a.view(), a.view(), {.scale = 2, .bias = -1, .normalize = false}) ==
        Approx(std::log1p(std::exp(-0.5)) + 3 * std::log1p(std::exp(0.5))));
}

}  // namespace sigmoid_test
