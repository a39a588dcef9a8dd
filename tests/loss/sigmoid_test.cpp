// sigmoid: formula, edge cases.
#include "feaug/cpu/loss/sigmoid.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include "feaug/cpu/loss/logistic.hpp"
#include "loss/formula.hpp"
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

TEMPLATE_TEST_CASE("the terms of the logistic function are accurate to a few roundings",
                   "[sigmoid]", float, double) {
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
