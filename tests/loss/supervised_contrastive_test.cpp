// supervised_contrastive: formula, edge cases.
#include "feaug/cpu/loss/supervised_contrastive.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include "loss/formula.hpp"
#include "support/test_matrix.hpp"

namespace supervised_contrastive_test {

using feaug::cpu_context;
using feaug::differentiable;
using feaug::index_t;
using feaug::reduce;
using feaug::vector_view;
using testing::test_matrix;

namespace {

using labels_type = std::vector<index_t>;

vector_view<const index_t> view_of(const labels_type& labels) {
  return {labels.data(), static_cast<index_t>(labels.size())};
}

bool all_finite(const std::vector<double>& values) {
  for (const double v : values) {
    if (!std::isfinite(v)) return false;
  }
  return true;
}

/// Row losses; 0 for rows without a positive.
const testing::registered_formula formula(
    "supervised_contrastive", {"z", "temperature"},
    []<class S>(const testing::formula_inputs<S>& in) {
      const auto z = testing::directions(in.matrix("z"), in.option("normalize", true));
      const std::vector<double>& labels = in.vector("labels");
      const S temperature = in.number("temperature", 0.1);
      std::vector<S> losses;
      for (index_t i = 0; i < z.size(); ++i) {
        std::vector<S> logits;
        S positive_sum = temperature * 0.0;
        double positives = 0;
        for (index_t j = 0; j < z.size(); ++j) {
          if (j == i) continue;
          logits.push_back(testing::dot(z[i], z[j]) / temperature);
          if (labels[static_cast<std::size_t>(j)] != labels[static_cast<std::size_t>(i)]) continue;
          positive_sum += logits.back();
          ++positives;
        }
        losses.push_back(positives == 0
                             ? S(temperature * 0.0)
                             : S(testing::log_sum_exp(logits) - positive_sum / positives));
      }
      return losses;
    },
    // The mean is over rows with a positive.
    [](const testing::formula_inputs<double>& in) {
      const std::vector<double>& labels = in.vector("labels");
      return static_cast<double>(std::count_if(labels.begin(), labels.end(), [&](double label) {
        return std::count(labels.begin(), labels.end(), label) > 1;
      }));
    });

}  // namespace

TEST_CASE("supervised_contrastive: edge cases", "[supervised_contrastive]") {
  cpu_context ctx{.threads = 1};
  auto z = test_matrix<float>::normal(6, 3, 1);
  test_matrix<float> dz(6, 3);
  dz.fill(5.0);
  labels_type labels = {0, 1, 0, 1, 2, 0};
  const auto run = [&](double temperature) {
    return feaug::supervised_contrastive_with_gradients(
        ctx, differentiable(z.view(), dz.view()), view_of(labels), {.temperature = temperature});
  };
  SECTION("no positives: loss and gradient are 0") {
    labels = {0, 1, 2, 3, 4, 5};
    CHECK(run(0.1) == 0.0F);
    CHECK(dz.values() == std::vector<double>(18, 0.0));
    CHECK(run(1e-3) == 0.0F);
  }
  SECTION("equal rows have loss log (N − 1)") {
    z.fill(1.0);
    CHECK(run(0.1) == Approx(std::log(5.0)).epsilon(1e-6));
    CHECK(testing::relative_error(dz.values(), std::vector<double>(18, 0.0)) < 1e-3);
  }
  SECTION("zero, huge and tiny rows give finite results down to a temperature of 1e-3") {
    z.fill_row(1, 0.0);
    z.fill_row(2, -1e18);
    z.fill_row(3, 1e-30);
    for (const double temperature : {0.1, 1e-3}) {
      CHECK(std::isfinite(run(temperature)));
      CHECK(all_finite(dz.values()));
      for (index_t j = 0; j < 3; ++j) CHECK((dz.get(1, j) == 0.0 && dz.get(3, j) == 0.0));
    }
  }
  SECTION("a row's logit with itself is excluded before the shift, so the others are not lost") {
    // Rows are orthogonal or opposite. If the sum had the row's own logit 1/τ = 200, the other
    // terms would be exp(−200) relative to it and vanish in float.
    test_matrix<float> axes(4, 2);
    axes.set(0, 0, 1);
    axes.set(1, 0, -1);
    axes.set(2, 1, 1);
    axes.set(3, 1, -1);
    labels = {0, 0, 1, 1};
    const float loss =
        feaug::supervised_contrastive(ctx, axes.view(), view_of(labels), {.temperature = 0.005});
    CHECK(loss == Approx(200.0 + std::log(2.0)).epsilon(1e-6));
  }
  SECTION("a dominant pair keeps its accuracy") {
    test_matrix<double> pairs(4, 2);
    pairs.set(0, 0, 1);
    pairs.set(1, 0, 1);
    pairs.set(2, 1, 1);
    pairs.set(3, 1, 1);
    labels = {0, 0, 1, 1};
    CHECK(
        feaug::supervised_contrastive(ctx, pairs.view(), view_of(labels), {.temperature = 0.05}) ==
        Approx(std::log1p(2 * std::exp(-20.0))).epsilon(1e-6));
    auto close = test_matrix<float>::normal(2, 3, 4);
    std::vector<float> losses(2);
    labels = {1, 1};
    feaug::supervised_contrastive(ctx, close.view(), view_of(labels), {losses.data(), 2},
                                  {.temperature = 0.0013, .reduction = reduce::none});
    // The loss of two rows is 0. Their logits are several hundred, so rounding errors may remain.
    for (const float loss : losses) CHECK(std::abs(loss) < 1e-4F);
  }
  SECTION("NaN and infinity affect every row with a positive") {
    z.set(4, 1,
          GENERATE(std::numeric_limits<double>::quiet_NaN(),
                   std::numeric_limits<double>::infinity()));
    std::vector<float> losses(6);
    feaug::supervised_contrastive(ctx, z.view(), view_of(labels), {losses.data(), 6},
                                  {.reduction = reduce::none});
    for (std::size_t i = 0; i < 6; ++i) CHECK(std::isnan(losses[i]) == (i != 4));
    CHECK(std::isnan(run(0.1)));
    CHECK(std::isnan(dz.get(0, 0)));
  }
  SECTION("strided labels") {
    labels_type wide;
    for (const index_t label : labels) wide.insert(wide.end(), {label, 99, 98});
    vector_view<const index_t> strided(wide.data(), 6);
    strided.strides[0] = 3;
    CHECK(feaug::supervised_contrastive(ctx, z.view(), strided) == run(0.1));
  }
}

}  // namespace supervised_contrastive_test
