// negative_cosine: formula, several targets, edge cases.
#include "feaug/cpu/loss/negative_cosine.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "loss/formula.hpp"
#include "support/test_matrix.hpp"

namespace negative_cosine_test {

using feaug::accumulate;
using feaug::cosine_form;
using feaug::differentiable;
using feaug::index_t;
using feaug::reduce;
using feaug::stop_gradient;
using testing::test_matrix;

namespace {

const testing::registered_formula formula(
    "negative_cosine", {"prediction", "target"}, []<class S>(const testing::formula_inputs<S>& in) {
      const auto p = testing::directions(in.matrix("prediction"));
      const auto t = testing::directions(in.matrix("target"));
      const bool byol = in.option("form", std::string("byol")) == "byol";
      std::vector<S> losses;
      for (index_t i = 0; i < p.size(); ++i) {
        const S c = testing::dot(p[i], t[i]);
        losses.push_back(byol ? S(c * -2.0 + 2.0) : S(c * -1.0));
      }
      return losses;
    });

}  // namespace

TEMPLATE_TEST_CASE("several targets give the sum of one call per target", "[negative_cosine]",
                   double, float, feaug::half, feaug::bfloat16) {
  using C = feaug::compute_t<TestType>;
  using operand = feaug::operand<TestType>;
  const reduce reduction = GENERATE(reduce::mean, reduce::none);
  const bool byol = GENERATE(true, false);
  const index_t cols = GENERATE(1, 5, 16, 39, 200);
  const auto set = GENERATE(feaug::instruction_set::portable, feaug::instruction_set::avx2,
                            feaug::instruction_set::avx512);
  CAPTURE(static_cast<int>(reduction), byol, cols, static_cast<int>(set));
  constexpr index_t rows = 7;
  auto p = test_matrix<TestType>::normal(rows, cols, 1, 1);
  p.fill_row(2, 0.0);
  std::vector<test_matrix<TestType>> t;
  for (unsigned k = 0; k < 3; ++k)
    t.push_back(test_matrix<TestType>::normal(rows, cols, 10 + k, static_cast<index_t>(k)));
  t[1].fill_row(4, 0.0);
  t[1].set(5, 0, std::numeric_limits<double>::quiet_NaN());
  std::vector<C> weights(static_cast<std::size_t>(rows), C{1});
  weights[1] = C{0};
  const feaug::negative_cosine_options<TestType> options{
      .form = byol ? cosine_form::byol : cosine_form::simsiam,
      .reduction = reduction,
      .gradient_scale = 0.5,
      .row_weights = {weights.data(), rows}};
  const index_t outputs = reduction == reduce::none ? rows : 1;
  const auto all_close = [](const std::vector<double>& got, const std::vector<double>& want,
                            double allowed) {
    for (std::size_t i = 0; i < want.size(); ++i) {
      if (std::isnan(want[i]) != std::isnan(got[i]) || std::abs(got[i] - want[i]) > allowed)
        return false;
    }
    return true;
  };
  // Reference: one call per target, in double, on the portable kernels, which are tested above.
  feaug::cpu_context reference{.threads = 1, .instructions = feaug::instruction_set::portable};
  const auto widened = [&](const test_matrix<TestType>& x) {
    test_matrix<double> wide(rows, cols);
    for (index_t i = 0; i < rows; ++i) {
      for (index_t j = 0; j < cols; ++j) wide.set(i, j, x.get(i, j));
    }
    return wide;
  };
  const std::vector<double> wide_weights(weights.begin(), weights.end());
  const feaug::negative_cosine_options<double> wide_options{
      .form = options.form,
      .reduction = reduction,
      .gradient_scale = 0.5,
      .row_weights = {wide_weights.data(), rows}};
  const auto wide_p = widened(p);
  test_matrix<double> want_p(rows, cols);
  want_p.fill(1.0);
  test_matrix<double> want_t(rows, cols);
  std::vector<double> want_loss(static_cast<std::size_t>(outputs));
  for (std::size_t k = 0; k < 3; ++k) {
    const auto wide_t = widened(t[k]);
    test_matrix<double> d_t(rows, cols);
    std::vector<double> loss(want_loss.size());
    feaug::negative_cosine_with_gradients(reference, accumulate(wide_p.view(), want_p.view()),
                                          differentiable(wide_t.view(), d_t.view()),
                                          {loss.data(), outputs}, wide_options);
    for (std::size_t i = 0; i < loss.size(); ++i) want_loss[i] += loss[i];
    if (k == 1) want_t = d_t;
  }
  for (const int threads : {1, 2}) {
    feaug::cpu_context ctx{.threads = threads, .instructions = set};
    test_matrix<TestType> d_p(rows, cols, 2);
    d_p.fill(1.0);
    test_matrix<TestType> d_t(rows, cols, 1);
    d_t.fill(9.0);
    const std::vector<operand> targets = {stop_gradient(std::as_const(t[0]).view()),
                                          differentiable(std::as_const(t[1]).view(), d_t.view()),
                                          stop_gradient(std::as_const(t[2]).view())};
    const operand prediction = accumulate(std::as_const(p).view(), d_p.view());
    std::vector<C> loss(want_loss.size());
    feaug::negative_cosine_with_gradients(ctx, prediction, targets, {loss.data(), outputs},
                                          options);
    const double allowed = 8 * testing::tolerance<TestType>();
    CHECK(all_close({loss.begin(), loss.end()}, want_loss, 8 * testing::tolerance<C>()));
    CHECK(all_close(d_p.values(), want_p.values(), allowed));
    CHECK(all_close(d_t.values(), want_t.values(), allowed));
    CHECK((d_p.padding_intact() && d_t.padding_intact()));
    // The backward pass; then a stopped prediction.
    test_matrix<TestType> again(rows, cols, 2);
    again.fill(1.0);
    const std::vector<C> ones(loss.size(), C{1});
    feaug::negative_cosine_backward(ctx, accumulate(std::as_const(p).view(), again.view()), targets,
                                    {ones.data(), outputs}, options);
    CHECK(all_close(again.values(), d_p.values(), 0));
    const test_matrix<TestType> before = d_t;
    d_t.fill(9.0);
    feaug::negative_cosine_with_gradients(ctx, operand(stop_gradient(std::as_const(p).view())),
                                          targets, {loss.data(), outputs}, options);
    CHECK(all_close(d_t.values(), before.values(), 0));
  }
}

TEST_CASE("gradients with respect to several targets agree with central differences",
          "[negative_cosine]") {
  const auto x = test_matrix<double>::normal(4 * 3, 5, 3);  // a prediction and three targets
  const std::vector<double> at = x.values();
  const auto value = [](const std::vector<double>& all) {
    feaug::cpu_context ctx{.threads = 1};
    const auto part = [&](index_t k) {
      return stop_gradient(feaug::matrix_view<const double>(all.data() + 15 * k, 3, 5));
    };
    const std::vector<feaug::operand<double>> targets = {part(1), part(2), part(3)};
    double loss = 0;
    feaug::negative_cosine_with_gradients(ctx, part(0), targets, feaug::scalar(loss));
    return loss;
  };
  std::vector<double> gradient(60);
  const auto part = [&](index_t k) {
    return differentiable(feaug::matrix_view<const double>(at.data() + 15 * k, 3, 5),
                          feaug::matrix_view<double>(gradient.data() + 15 * k, 3, 5));
  };
  const std::vector<feaug::operand<double>> targets = {part(1), part(2), part(3)};
  feaug::cpu_context ctx{.threads = 2};
  double loss = 0;
  feaug::negative_cosine_with_gradients(ctx, part(0), targets, feaug::scalar(loss));
  CHECK(testing::relative_error(gradient, testing::central_differences(value, at, 1e-5)) < 1e-7);
}

TEST_CASE("several targets of different shapes are rejected", "[negative_cosine]") {
  using Catch::Matchers::Contains;
  feaug::cpu_context ctx{.threads = 1};
  const auto p = test_matrix<float>::normal(3, 4, 1);
  const auto t = test_matrix<float>::normal(3, 4, 2);
  const auto narrow = test_matrix<float>::normal(3, 3, 2);
  test_matrix<float> d(3, 4);
  float loss = 9;
  const auto run = [&](const std::vector<feaug::operand<float>>& targets) {
    feaug::negative_cosine_with_gradients(ctx, differentiable(p.view(), d.view()), targets,
                                          feaug::scalar(loss));
  };
  CHECK_THROWS_WITH(run({}), Contains("targets: got none, wanted at least one"));
  CHECK_THROWS_WITH(run({stop_gradient(t.view()), stop_gradient(narrow.view())}),
                    Contains("targets[1]: got shape (3, 3), wanted shape (3, 4) as prediction"));
  CHECK_THROWS_WITH(run({stop_gradient(t.view()), differentiable(t.view(), d.view())}),
                    Contains("memory that overlaps"));
  test_matrix<float> d_t(3, 4);
  CHECK_THROWS_WITH(
      run({differentiable(t.view(), d_t.view()), differentiable(t.view(), d_t.view())}),
      Contains("gradient of targets[0]: got memory that overlaps gradient of targets[1]"));
  CHECK(loss == 9);
  CHECK_NOTHROW(run({stop_gradient(t.view()), stop_gradient(t.view())}));
}

TEST_CASE("negative_cosine: edge cases", "[negative_cosine]") {
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
  SECTION("zero and huge rows") {
    p.fill_row(0, 0.0);
    t.fill_row(1, 1e18);
    p.fill_row(1, 1e18);
    run();
    CHECK(losses[0] == 2.0F);
    CHECK(losses[1] == Approx(0.0).margin(1e-6));
    for (index_t j = 0; j < 4; ++j) CHECK(d_p.get(0, j) == 0.0);
    for (double v : d_p.values()) CHECK(std::isfinite(v));
  }
  SECTION("NaN affects only its row") {
    t.set(2, 1, std::numeric_limits<double>::quiet_NaN());
    run();
    CHECK((std::isfinite(losses[0]) && std::isfinite(losses[1]) && std::isnan(losses[2])));
    CHECK((std::isfinite(d_p.get(1, 0)) && std::isnan(d_p.get(2, 0))));
  }
}

}  // namespace negative_cosine_test
