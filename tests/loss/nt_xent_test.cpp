// nt_xent, plain and decoupled: formula, weights, invalid arguments.
#include "feaug/cpu/loss/nt_xent.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <vector>

#include "loss/formula.hpp"
#include "support/message_of.hpp"
#include "support/test_matrix.hpp"

namespace nt_xent_test {

using feaug::index_t;
using testing::test_matrix;

namespace {

/// DCLW's weight of every pair, 2 − N·softmax_i(cos(a_i, b_i) / sigma); treated as a constant.
std::vector<double> pair_weights(const testing::rows_of<double>& a,
                                 const testing::rows_of<double>& b, double sigma) {
  std::vector<double> weights;
  for (index_t i = 0; i < a.size(); ++i) weights.push_back(testing::cosine(a[i], b[i]) / sigma);
  const double all = testing::log_sum_exp(weights);
  for (double& w : weights) w = 2.0 - static_cast<double>(a.size()) * std::exp(w - all);
  return weights;
}

const testing::registered_formula formula(
    "nt_xent", {"a", "b", "temperature"}, []<class S>(const testing::formula_inputs<S>& in) {
      const auto a = testing::directions(in.matrix("a"));
      const auto b = testing::directions(in.matrix("b"));
      const S temperature = in.number("temperature", 0.1);
      const index_t n = a.size();
      const double sigma = in.option("positive_weighting", 0.0);
      const std::vector<double> weights =
          sigma > 0 ? pair_weights(in.constant("a"), in.constant("b"), sigma)
                    : std::vector<double>(static_cast<std::size_t>(n), 1.0);
      const auto z = [&](index_t i) -> const std::vector<S>& { return i < n ? a[i] : b[i - n]; };
      std::vector<S> losses;
      for (index_t i = 0; i < 2 * n; ++i) {
        const index_t p = (i + n) % (2 * n);
        std::vector<S> logits;
        for (index_t j = 0; j < 2 * n; ++j) {
          if (j != i && !(in.option("decoupled", false) && j == p))
            logits.push_back(testing::dot(z(i), z(j)) / temperature);
        }
        losses.push_back(testing::log_sum_exp(logits) -
                         testing::dot(z(i), z(p)) / temperature *
                             weights[static_cast<std::size_t>(i % n)]);
      }
      return losses;
    });

}  // namespace

TEST_CASE("nt_xent's weights of positive pairs", "[nt_xent]") {
  // If all pairs have the same cosine, every weight is 1.
  const auto z = test_matrix<float>::normal(6, 4, 3);
  feaug::cpu_context ctx{.threads = 1};
  CHECK(feaug::nt_xent(ctx, z.view(), z.view(), {.decoupled = true, .positive_weighting = 0.5}) ==
        Approx(feaug::nt_xent(ctx, z.view(), z.view(), {.decoupled = true})).epsilon(1e-5));
  using Catch::Matchers::Equals;
  CHECK_THROWS_WITH(feaug::nt_xent(ctx, z.view(), z.view(), {.positive_weighting = 0.5}),
                    Equals("nt_xent: positive_weighting: got 0.5, wanted 0, or decoupled with it"));
  CHECK_THROWS_WITH(
      feaug::nt_xent(ctx, z.view(), z.view(), {.decoupled = true, .positive_weighting = -1}),
      Equals("nt_xent: positive_weighting: got -1, wanted a finite number above 0"));
}

TEST_CASE("nt_xent of a single pair", "[nt_xent]") {
  const auto a = test_matrix<float>::normal(1, 3, 1);
  const auto b = test_matrix<float>::normal(1, 3, 2);
  feaug::cpu_context ctx{.threads = 1};
  CHECK(feaug::nt_xent(ctx, a.view(), b.view()) == 0.0F);
  CHECK(
      testing::message_of([&] { feaug::nt_xent(ctx, a.view(), b.view(), {.decoupled = true}); }) ==
      "nt_xent: a: got 1 row, wanted at least 2, since decoupled leaves a single pair no "
      "denominator");
}

}  // namespace nt_xent_test
