// sigmoid: formula, edge cases.
#include "feaug/cpu/loss/sigmoid.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include "feaug/cpu/loss/logistic.hpp"
#include "loss/formula.hpp"
#include "support/instruction_sets.hpp"
#include "support/test_matrix.hpp"

namespace sigmoid_test {

using feaug::differentiable;
using feaug::index_t;
using feaug::reduce;
using feaug::stop_gradient;
using testing::test_matrix;

namespace {

/// log(1 + eˣ)
template <class S>
S softplus(const S& x) {
  using std::exp;
  using std::log;
  const bool is_positive = testing::value_of(x) > 0;
  const S e = exp(is_positive ? S(x * -1.0) : x);
  const S rest = log(S(e + 1.0));
  return is_positive ? S(x + rest) : rest;
}

const testing::registered_formula formula(
    "sigmoid", {"a", "b", "scale", "bias"}, []<class S>(const testing::formula_inputs<S>& in) {
      const auto a = testing::directions(in.matrix("a"), in.option("normalize", true));
      const auto b = testing::directions(in.matrix("b"), in.option("normalize", true));
      const S scale = in.number("scale", 10);
      const S bias = in.number("bias", -10);
      std::vector<S> losses;
      for (index_t i = 0; i < a.size(); ++i) {
        S sum = bias * 0.0;
        for (index_t j = 0; j < b.size(); ++j) {
          const S logit = testing::dot(a[i], b[j]) * scale + bias;
          sum += softplus(i == j ? S(logit * -1.0) : logit);
        }
        losses.push_back(sum);
      }
      return losses;
    });

}  // namespace

TEST_CASE("sigmoid stays accurate for near-certain pairs", "[sigmoid]") {
  // One pair: the loss is e⁻⁴⁰ (1 + …), and so is its gradient with respect to the bias.
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

  // Two opposite pairs in float: the negatives have s = −40, and their terms must not be lost.
  test_matrix<float> x(2, 1);
  x.set(0, 0, 1);
  x.set(1, 0, -1);
  std::vector<float> losses(2);
  feaug::sigmoid(ctx, x.view(), x.view(), {losses.data(), 2},
                 {.scale = 60, .bias = 20, .reduction = reduce::none});
  CHECK(losses[0] == Approx(std::exp(-40.0)).epsilon(1e-5));
}

namespace {

/// The terms of one logit: that of x[0] = s, among columns that contribute nothing.
template <class C>
struct terms_of {
  feaug::cpu::logistic_sums sums;
  C weight;

  terms_of(feaug::instruction_set set, C s) {
    constexpr index_t count = feaug::cpu::column_step;
    C x[count] = {s};
    C biases[count] = {};
    std::fill(biases + 1, biases + count, -std::numeric_limits<C>::infinity());
    sums = feaug::cpu::logistic_terms<true>(
        set, feaug::cpu::logistic_row<C>{
                 .x = x, .biases = biases, .count = count, .scale = 1, .weight = 1});
    weight = x[0];
    for (index_t j = 1; j < count; ++j) CHECK(x[j] == 0);
  }
};

/// The terms of s < −86 may be 0, as fast_exp is, and subnormal numbers need no accuracy.
template <class C>
void check_close(double got, long double want, C s) {
  CHECK(got == Approx(static_cast<double>(want))
                   .epsilon(4 * static_cast<double>(std::numeric_limits<C>::epsilon()))
                   .margin(s < -86 ? 2e-36 : static_cast<double>(std::numeric_limits<C>::min())));
}

}  // namespace

TEMPLATE_TEST_CASE("the terms of the logistic function are accurate to a few roundings",
                   "[sigmoid]", float, double) {
  using C = TestType;
  std::vector<C> logits = {C(0), -C(0), std::numeric_limits<C>::denorm_min(),
                           std::numeric_limits<C>::min()};
  for (double s = 1e-36; s < 1e38; s *= 1.37) logits.push_back(static_cast<C>(s));
  for (double s = 0.37; s <= 120; s += 0.37) logits.push_back(static_cast<C>(s));
  testing::for_each_instruction_set([&](feaug::instruction_set set) {
    for (const C size : logits) {
      for (const C s : {size, -size}) {
        CAPTURE(s);
        const auto at = static_cast<long double>(s);
        const terms_of<C> got(set, s);
        const long double weight =
            at > 0 ? 1 / (1 + std::exp(-at)) : std::exp(at) / (1 + std::exp(at));
        check_close(static_cast<double>(got.weight), weight, s);
        check_close(got.sums.weight, weight, s);
        check_close(got.sums.loss, std::max(at, 0.0L) + std::log1p(std::exp(-std::abs(at))), s);
        check_close(std::abs(got.sums.weighted_cosine), weight * std::abs(at), s);
      }
    }
    constexpr C infinity = std::numeric_limits<C>::infinity();
    const terms_of<C> high(set, infinity);
    CHECK((high.weight == 1 && high.sums.loss == HUGE_VAL));
    const terms_of<C> low(set, -infinity);
    CHECK((low.weight == 0 && low.sums.loss == 0));
    for (const C bad :
         {std::numeric_limits<C>::quiet_NaN(), -std::numeric_limits<C>::quiet_NaN()}) {
      const terms_of<C> none(set, bad);
      CHECK(
          (std::isnan(none.weight) && std::isnan(none.sums.loss) && std::isnan(none.sums.weight)));
    }
  });
}

TEST_CASE("the terms of the logistic function do not decrease", "[sigmoid]") {
  testing::for_each_instruction_set([&](feaug::instruction_set set) {
    terms_of<float> before(set, -90.0F);
    for (float s = -90.0F; s < 20.0F; s += 0.01F) {
      const terms_of<float> now(set, s);
      CAPTURE(s);
      CHECK(now.weight >= before.weight);
      CHECK(now.sums.loss >= before.sums.loss);
      before = now;
    }
  });
}

namespace {

/// Losses and gradients of `rows` pairs whose last features are 0.
std::vector<double> gradients_of(feaug::cpu_context& ctx, index_t rows, index_t cols) {
  constexpr index_t used = 5;
  test_matrix<double> a(rows, cols);
  test_matrix<double> b(rows, cols);
  const auto x = test_matrix<double>::normal(rows, used, 1);
  const auto y = test_matrix<double>::normal(rows, used, 2);
  for (index_t i = 0; i < rows; ++i) {
    for (index_t j = 0; j < used; ++j) {
      a.set(i, j, x.get(i, j));
      b.set(i, j, y.get(i, j));
    }
  }
  test_matrix<double> d_a(rows, cols);
  test_matrix<double> d_b(rows, cols);
  std::vector<double> weights;
  for (index_t i = 0; i < rows; ++i) weights.push_back(0.5 + static_cast<double>(i % 3));
  std::vector<double> all = {feaug::sigmoid_with_gradients(
      ctx, differentiable(a.view(), d_a.view()), differentiable(b.view(), d_b.view()),
      {.scale = -3, .bias = 1, .row_weights = {weights.data(), rows}})};
  for (const auto* gradient : {&d_a, &d_b}) {
    for (index_t i = 0; i < rows; ++i) {
      for (index_t j = 0; j < used; ++j) all.push_back(gradient->get(i, j));
    }
  }
  return all;
}

}  // namespace

TEST_CASE("sigmoid: columns in several groups, and any number of threads", "[sigmoid]") {
  constexpr index_t rows = 190;
  constexpr index_t cols = 8192;
  REQUIRE(feaug::cpu::most_logistic_columns<double>(cols) < rows);
  feaug::cpu_context alone{.threads = 1};
  feaug::cpu_context several{.threads = 3};
  const std::vector<double> want = gradients_of(alone, rows, 5);
  CHECK(gradients_of(several, rows, 5) == want);
  const std::vector<double> got = gradients_of(alone, rows, cols);
  CHECK(testing::relative_error(got, want) < 1e-12);
  CHECK(gradients_of(several, rows, cols) == got);
}

TEST_CASE("sigmoid: NaN affects exactly the rows that read it", "[sigmoid]") {
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
  // Without normalisation: s = 2·0.75 − 1.
  CHECK(feaug::sigmoid(ctx, a.view(), a.view(), {.scale = 2, .bias = -1, .normalize = false}) ==
        Approx(std::log1p(std::exp(-0.5)) + 3 * std::log1p(std::exp(0.5))));
}

}  // namespace sigmoid_test
