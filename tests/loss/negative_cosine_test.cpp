// negative_cosine against its formula and automatic differentiation; and at the edges.
#include "feaug/loss/negative_cosine.hpp"

#include <catch2/catch.hpp>
#include <limits>
#include <tuple>

#include "loss/reference.hpp"
#include "support/automatic_gradient.hpp"
#include "support/test_matrix.hpp"

using feaug::cosine_form;
using feaug::differentiable;
using feaug::index_t;
using feaug::reduce;
using feaug::stop_gradient;
using testing::test_matrix;

TEMPLATE_TEST_CASE("negative_cosine and its gradients are the formula's", "[negative_cosine]",
                   double, float, feaug::half, feaug::bfloat16) {
  using C = feaug::compute_t<TestType>;
  const auto shape = GENERATE(table<index_t, index_t>({{1, 3}, {3, 1}, {5, 4}, {40, 900}}));
  const index_t rows = std::get<0>(shape);  // no structured binding: lambdas below capture them
  const index_t cols = std::get<1>(shape);
  const bool byol = GENERATE(true, false);
  const reduce reduction = GENERATE(reduce::mean, reduce::sum, reduce::none);
  CAPTURE(rows, cols, byol, static_cast<int>(reduction));
  const auto p = test_matrix<TestType>::normal(rows, cols, 1, 1);
  const auto t = test_matrix<TestType>::normal(rows, cols, 2, 5);
  test_matrix<TestType> d_p(rows, cols);
  test_matrix<TestType> d_t(rows, cols, 2);
  std::vector<C> cotangent(1, C{1});
  std::vector<double> weights = testing::equal_weights(rows, reduction == reduce::mean);
  if (reduction == reduce::none) {
    cotangent.assign(static_cast<std::size_t>(rows), C{0.5});
    cotangent[0] = C{-2};
    weights.assign(static_cast<std::size_t>(rows), 0.5);
    weights[0] = -2;
  }
  // The cosine is homogeneous of degree 0, so g = −2w/‖p‖·(t̂ − cos·p̂) in closed form is what
  // automatic differentiation gives for the small shapes; the large one would take 72000 dual
  // numbers.
  std::vector<double> want_p;
  std::vector<double> want_t;
  const testing::rows_of<double> ps(p.values(), 0, rows, cols);
  const testing::rows_of<double> ts(t.values(), 0, rows, cols);
  const auto closed_form = [&](const std::vector<double>& x, const std::vector<double>& y,
                               double weight, std::vector<double>& gradient) {
    const double nx = std::sqrt(testing::dot(x, x));
    const double ny = std::sqrt(testing::dot(y, y));
    const double c = testing::dot(x, y) / (nx * ny);
    for (std::size_t j = 0; j < x.size(); ++j) {
      gradient.push_back((byol ? -2.0 : -1.0) * weight / nx * (y[j] / ny - c * x[j] / nx));
    }
  };
  for (index_t i = 0; i < rows; ++i) {
    closed_form(ps[i], ts[i], weights[static_cast<std::size_t>(i)], want_p);
    closed_form(ts[i], ps[i], weights[static_cast<std::size_t>(i)], want_t);
  }
  if (rows * cols <= 20) {
    std::vector<double> x = p.values();
    for (double v : t.values()) x.push_back(v);
    const auto want = testing::automatic_gradient(
        [&](const std::vector<testing::dual>& in) {
          const testing::rows_of<testing::dual> prediction(in, 0, rows, cols);
          const testing::rows_of<testing::dual> target(in, static_cast<std::size_t>(rows * cols),
                                                       rows, cols);
          return testing::weighted(testing::negative_cosine_rows(prediction, target, byol),
                                   weights);
        },
        x);
    std::vector<double> both = want_p;
    both.insert(both.end(), want_t.begin(), want_t.end());
    // With one column both are 0 by cancellation, up to an ulp that 1e-4 divides.
    CHECK(testing::relative_error(both, want.gradient) < 1e-10);
  }
  const double allowed = testing::tolerance<TestType>();
  const feaug::negative_cosine_options<TestType> options{
      .form = byol ? cosine_form::byol : cosine_form::simsiam, .reduction = reduction};
  feaug::cpu_context ctx{.threads = 2};
  const index_t outputs = reduction == reduce::none ? rows : 1;
  std::vector<C> loss(static_cast<std::size_t>(outputs));
  feaug::negative_cosine(ctx, p.view(), t.view(), {loss.data(), outputs}, options);
  const auto rows_want = testing::negative_cosine_rows(ps, ts, byol);
  if (reduction == reduce::none) {
    for (std::size_t i = 0; i < rows_want.size(); ++i)
      CHECK(static_cast<double>(loss[i]) == Approx(rows_want[i]).margin(1e-5));
  } else {
    CHECK(static_cast<double>(loss[0]) ==
          Approx(testing::weighted(rows_want, weights)).epsilon(1e-5).margin(1e-5));
  }
  feaug::negative_cosine_backward(
      ctx, differentiable(p.view(), d_p.view()), differentiable(t.view(), d_t.view()),
      {cotangent.data(), static_cast<index_t>(cotangent.size())}, options);
  CHECK(testing::relative_error(d_p.values(), want_p) < allowed);
  CHECK(testing::relative_error(d_t.values(), want_t) < allowed);
  CHECK(d_t.padding_intact());
  if (reduction == reduce::none) return;
  test_matrix<TestType> again(rows, cols);
  const C value = feaug::negative_cosine_with_gradients(ctx, differentiable(p.view(), again.view()),
                                                        stop_gradient(t.view()), options);
  CHECK(value == loss[0]);
  CHECK(again.values() == d_p.values());
}

TEST_CASE("negative_cosine at the edges", "[negative_cosine]") {
  feaug::cpu_context ctx{.threads = 1};
  auto p = test_matrix<float>::normal(3, 4, 1);
  auto t = test_matrix<float>::normal(3, 4, 2);
  test_matrix<float> d_p(3, 4);
  std::vector<float> losses(3);
  const auto run = [&] {
    feaug::negative_cosine_with_gradients(ctx, differentiable(p.view(), d_p.view()),
                                          stop_gradient(t.view()), {losses.data(), 3},
                                          {.reduction = reduce::none});
  };
  SECTION("zero, huge") {
    p.fill_row(0, 0.0);
    t.fill_row(1, 1e18);
    p.fill_row(1, 1e18);
    run();
    CHECK(losses[0] == 2.0F);
    CHECK(losses[1] == Approx(0.0).margin(1e-6));
    for (index_t j = 0; j < 4; ++j) CHECK(d_p.get(0, j) == 0.0);
    for (double v : d_p.values()) CHECK(std::isfinite(v));
  }
  SECTION("NaN stays in its row") {
    t.set(2, 1, std::numeric_limits<double>::quiet_NaN());
    run();
    CHECK((std::isfinite(losses[0]) && std::isfinite(losses[1]) && std::isnan(losses[2])));
    CHECK((std::isfinite(d_p.get(1, 0)) && std::isnan(d_p.get(2, 0))));
  }
  SECTION("bad arguments") {
    using Catch::Matchers::Contains;
    const auto other = test_matrix<float>::normal(3, 5, 3);
    CHECK_THROWS_WITH(
        feaug::negative_cosine(ctx, p.view(), other.view()),
        Contains("negative_cosine: target: got shape (3, 5), wanted shape (3, 4) as prediction"));
    CHECK_THROWS_WITH(feaug::negative_cosine_backward(ctx, differentiable(p.view(), d_p.view()),
                                                      stop_gradient(t.view()), {}),
                      Contains("negative_cosine_backward: cotangent: got no elements"));
    CHECK_THROWS_WITH(feaug::negative_cosine_with_gradients(ctx, differentiable(p.view(), p.view()),
                                                            stop_gradient(t.view())),
                      Contains("gradient of prediction: got memory that overlaps prediction"));
  }
}
