// supervised_contrastive against its formula, automatic differentiation and central differences;
// and at the edges.
#include "feaug/cpu/loss/supervised_contrastive.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "loss/reference.hpp"
#include "support/automatic_gradient.hpp"
#include "support/message_of.hpp"
#include "support/test_matrix.hpp"

namespace supervised_contrastive_test {

using feaug::compute_t;
using feaug::cpu_context;
using feaug::differentiable;
using feaug::index_t;
using feaug::reduce;
using feaug::stop_gradient;
using feaug::vector_view;
using testing::test_matrix;

namespace {

using labels_type = std::vector<index_t>;

vector_view<const index_t> view_of(const labels_type& labels) {
  return {labels.data(), static_cast<index_t>(labels.size())};
}

labels_type cyclic(index_t rows, index_t classes) {
  labels_type labels;
  for (index_t i = 0; i < rows; ++i) labels.push_back(i % classes - 1);
  return labels;
}

constexpr index_t far_apart = index_t{1} << 40;

/// No partner, one column, odd sizes, all equal, all distinct, some alone, labels that only differ
/// in their upper bits.
const std::vector<labels_type> label_sets = {
    {7},
    {1, 1, 1},
    {0, 0, 0, 1},
    {3, 1, 2, 4, 0},
    {5, 5},
    {far_apart, 0, far_apart, 0, 2 * far_apart, 0, -1},
    {1, 0, 1, 1, 0, 0, 1, 2, 2},
};

bool all_finite(const std::vector<double>& values) {
  for (const double v : values) {
    if (!std::isfinite(v)) return false;
  }
  return true;
}

}  // namespace

TEMPLATE_TEST_CASE("supervised_contrastive and its gradients are the formula's",
                   "[supervised_contrastive]", double, float, feaug::half, feaug::bfloat16) {
  using T = TestType;
  using C = compute_t<T>;
  const labels_type labels = GENERATE(from_range(label_sets));
  const index_t cols = GENERATE(1, 4);
  const reduce reduction = GENERATE(reduce::mean, reduce::sum, reduce::none);
  const auto rows = static_cast<index_t>(labels.size());
  CAPTURE(labels, cols, static_cast<int>(reduction));
  const auto z = test_matrix<T>::normal(rows, cols, 5, 3);
  test_matrix<T> dz(rows, cols, 2);
  C temperature = C(0.25);
  C d_temperature{};
  std::vector<double> x = z.values();
  x.push_back(static_cast<double>(temperature));
  std::vector<double> weights = reduction == reduce::mean ? testing::labelled_mean_weights(labels)
                                                          : testing::equal_weights(rows, false);
  std::vector<C> cotangent = {C{1}};
  if (reduction == reduce::none) {
    cotangent.clear();
    for (index_t i = 0; i < rows; ++i) {
      cotangent.push_back(static_cast<C>(0.5 * static_cast<double>(i % 5) - 0.75));
      weights[static_cast<std::size_t>(i)] = static_cast<double>(cotangent.back());
    }
  }
  const auto formula = [&]<class S>(const std::vector<S>& in) {
    return testing::weighted(testing::supervised_contrastive_rows(
                                 testing::rows_of<S>(in, 0, rows, cols), labels, in.back()),
                             weights);
  };
  // A single row has no sum to take the logarithm of: everything is 0.
  testing::value_and_gradient want = {0, std::vector<double>(x.size(), 0.0)};
  if (rows > 1) {
    want = testing::automatic_gradient(
        [&](const std::vector<testing::dual>& in) { return formula(in); }, x);
  }
  if (std::is_same_v<T, double> && rows > 1) {
    const auto slopes =
        testing::central_differences([&](const std::vector<double>& in) { return formula(in); }, x);
    CHECK(testing::relative_error(want.gradient, slopes) < 1e-5);
  }
  const double allowed = testing::tolerance<T>();
  const feaug::supervised_contrastive_options<T> options = {
      .reduction = reduction,
      .learnable_temperature =
          differentiable(feaug::scalar(temperature), feaug::scalar(d_temperature))};
  const auto gradients = [&] {
    std::vector<double> all = dz.values();
    all.push_back(static_cast<double>(d_temperature));
    dz.fill(std::numeric_limits<double>::quiet_NaN());
    return all;
  };
  const index_t outputs = reduction == reduce::none ? rows : 1;
  std::vector<C> loss(static_cast<std::size_t>(outputs));
  std::vector<C> statistics(static_cast<std::size_t>(rows));
  const vector_view<C> loss_view(loss.data(), outputs);
  const vector_view<C> statistics_view(statistics.data(), rows);
  cpu_context ctx{.threads = 2};
  feaug::supervised_contrastive(ctx, z.view(), view_of(labels), loss_view, options,
                                statistics_view);
  double total = 0;
  for (std::size_t i = 0; i < loss.size(); ++i)
    total += static_cast<double>(loss[i]) * (reduction == reduce::none ? weights[i] : 1.0);
  CHECK(total == Approx(want.value).epsilon(allowed).margin(allowed));
  feaug::supervised_contrastive_backward(ctx, differentiable(z.view(), dz.view()), view_of(labels),
                                         statistics_view,
                                         vector_view<const C>(cotangent.data(), outputs), options);
  CHECK(testing::relative_error(gradients(), want.gradient, 1e-2) < allowed);
  CHECK(dz.padding_intact());
  if (reduction == reduce::none) return;
  const C again = feaug::supervised_contrastive_with_gradients(
      ctx, differentiable(z.view(), dz.view()), view_of(labels), options);
  CHECK(again == loss[0]);
  CHECK(testing::relative_error(gradients(), want.gradient, 1e-2) < allowed);
}

TEST_CASE("supervised_contrastive gives the same bits for any number of threads",
          "[supervised_contrastive]") {
  const auto z = test_matrix<float>::normal(400, 31, 1);
  const labels_type labels = cyclic(400, 7);
  std::vector<double> first;
  for (int threads = 1; threads <= 3; ++threads) {
    cpu_context ctx{.threads = threads};
    test_matrix<float> dz(400, 31);
    const float loss = feaug::supervised_contrastive_with_gradients(
        ctx, differentiable(z.view(), dz.view()), view_of(labels));
    std::vector<double> all = dz.values();
    all.push_back(static_cast<double>(loss));
    if (first.empty()) first = all;
    CHECK(all == first);
  }
}

TEST_CASE("supervised_contrastive is right where tiles and chunks meet",
          "[supervised_contrastive]") {
  const auto z = test_matrix<double>::normal(300, 17, 1);
  const labels_type labels = cyclic(300, 40);
  cpu_context ctx{.threads = 2};
  const auto losses = [&](const std::vector<double>& x) {
    return testing::supervised_contrastive_rows(testing::rows_of<double>(x, 0, 300, 17), labels,
                                                0.1);
  };
  std::vector<double> got(300);
  feaug::supervised_contrastive(ctx, z.view(), view_of(labels), {got.data(), 300},
                                {.reduction = reduce::none});
  CHECK(testing::relative_error(got, losses(z.values())) < 1e-12);
  test_matrix<double> dz(300, 17);
  feaug::supervised_contrastive_with_gradients(ctx, differentiable(z.view(), dz.view()),
                                               view_of(labels), {.reduction = reduce::sum});
  for (const std::size_t at : {std::size_t{0}, std::size_t{2600}, std::size_t{5099}}) {
    std::vector<double> x = z.values();
    const auto sum = [&](double by) {
      std::vector<double> moved = x;
      moved[at] += by;
      return testing::weighted(losses(moved), testing::equal_weights(300, false));
    };
    CHECK(dz.values()[at] == Approx((sum(1e-5) - sum(-1e-5)) / 2e-5).epsilon(1e-5).margin(1e-7));
  }
}

TEST_CASE("supervised_contrastive's row weights, accumulation and gradient scale",
          "[supervised_contrastive]") {
  const auto z = test_matrix<double>::normal(5, 4, 1);
  const labels_type labels = {0, 1, 0, 1, 2};
  const std::vector<double> weights = {0.5, -1.0, 2.0, 1.5, 9.0};
  cpu_context ctx{.threads = 1};
  std::vector<double> losses(5);
  std::vector<double> statistics(5);
  test_matrix<double> want(5, 4);
  const vector_view<double> statistics_view(statistics.data(), 5);
  feaug::supervised_contrastive(ctx, z.view(), view_of(labels), {losses.data(), 5},
                                {.reduction = reduce::none}, statistics_view);
  CHECK(losses[4] == 0.0);
  feaug::supervised_contrastive_backward(ctx, differentiable(z.view(), want.view()),
                                         view_of(labels), statistics_view, {weights.data(), 5},
                                         {.reduction = reduce::none});
  test_matrix<double> dz(5, 4);
  dz.fill(1.0);
  const double loss = feaug::supervised_contrastive_with_gradients(
      ctx, feaug::accumulate(z.view(), dz.view()), view_of(labels),
      {.gradient_scale = 3, .row_weights = {weights.data(), 5}});
  // Four rows have a positive: the mean is over them.
  CHECK(loss == Approx((0.5 * losses[0] - losses[1] + 2.0 * losses[2] + 1.5 * losses[3]) / 4));
  for (index_t i = 0; i < 5; ++i) {
    for (index_t j = 0; j < 4; ++j) CHECK(dz.get(i, j) == Approx(1.0 + 3.0 / 4.0 * want.get(i, j)));
  }
}

TEST_CASE("supervised_contrastive at the edges", "[supervised_contrastive]") {
  cpu_context ctx{.threads = 1};
  auto z = test_matrix<float>::normal(6, 3, 1);
  test_matrix<float> dz(6, 3);
  dz.fill(5.0);
  labels_type labels = {0, 1, 0, 1, 2, 0};
  const auto run = [&](double temperature) {
    return feaug::supervised_contrastive_with_gradients(
        ctx, differentiable(z.view(), dz.view()), view_of(labels), {.temperature = temperature});
  };
  SECTION("no positives anywhere: loss and gradient are 0") {
    labels = {0, 1, 2, 3, 4, 5};
    CHECK(run(0.1) == 0.0F);
    CHECK(dz.values() == std::vector<double>(18, 0.0));
    CHECK(run(1e-3) == 0.0F);
  }
  SECTION("equal rows: log (N − 1)") {
    z.fill(1.0);
    CHECK(run(0.1) == Approx(std::log(5.0)).epsilon(1e-6));
    CHECK(testing::relative_error(dz.values(), std::vector<double>(18, 0.0)) < 1e-3);
  }
  SECTION("zero, huge and tiny rows are finite down to a temperature of 1e-3") {
    z.fill_row(1, 0.0);
    z.fill_row(2, -1e18);
    z.fill_row(3, 1e-30);
    for (const double temperature : {0.1, 1e-3}) {
      CHECK(std::isfinite(run(temperature)));
      CHECK(all_finite(dz.values()));
      for (index_t j = 0; j < 3; ++j) CHECK((dz.get(1, j) == 0.0 && dz.get(3, j) == 0.0));
    }
  }
  SECTION("its own logit, the largest there is, does not drown the others") {
    // All rows at right angles or opposite: with the own logit of 1/τ = 200 in the sum, nothing of
    // exp(−200) would be left in float.
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
  SECTION("a pair that wins by far keeps its digits") {
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
    // Two rows are certain. Their logits, some hundreds, may leave a rounding.
    for (const float loss : losses) CHECK(std::abs(loss) < 1e-4F);
  }
  SECTION("NaN and infinity reach every row with a positive") {
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
  SECTION("labels with a stride") {
    labels_type wide;
    for (const index_t label : labels) wide.insert(wide.end(), {label, 99, 98});
    vector_view<const index_t> strided(wide.data(), 6);
    strided.strides[0] = 3;
    CHECK(feaug::supervised_contrastive(ctx, z.view(), strided) == run(0.1));
  }
}

TEST_CASE("supervised_contrastive names what is wrong, before it writes",
          "[supervised_contrastive]") {
  cpu_context ctx{.threads = 1};
  const auto z = test_matrix<float>::normal(4, 3, 1);
  test_matrix<float> dz(4, 3);
  dz.fill(5.0);
  const labels_type numbers = {0, 0, 1, 1, 2};
  std::vector<float> loss(4, 5.0F);
  std::vector<float> statistics(4, 5.0F);
  std::vector<float> ones(4, 1.0F);
  feaug::operand<float> x = differentiable(z.view(), dz.view());
  vector_view<const index_t> labels(numbers.data(), 4);
  vector_view<float> loss_view(loss.data(), 1);
  vector_view<float> statistics_view(statistics.data(), 4);
  vector_view<const float> cotangent(ones.data(), 1);
  feaug::supervised_contrastive_options<float> options;
  const auto forward = [&] {
    return testing::message_of([&] {
      feaug::supervised_contrastive(ctx, x.value, labels, loss_view, options, statistics_view);
    });
  };
  const auto backward = [&] {
    return testing::message_of([&] {
      feaug::supervised_contrastive_backward(ctx, x, labels, statistics_view, cotangent, options);
    });
  };
  const auto at_once = [&] {
    return testing::message_of(
        [&] { feaug::supervised_contrastive_with_gradients(ctx, x, labels, loss_view, options); });
  };
  const auto check_all = [&](const std::string& wanted) {
    CHECK(forward() == "supervised_contrastive: " + wanted);
    CHECK(backward() == "supervised_contrastive_backward: " + wanted);
    CHECK(at_once() == "supervised_contrastive_with_gradients: " + wanted);
  };
  SECTION("z") {
    x.value.data = nullptr;
    check_all("z: got a null pointer with shape (4, 3), wanted a pointer to its elements");
    x = stop_gradient(feaug::matrix_view<const float>(z.view().data, 0, 3));
    check_all("z: got shape (0, 3), wanted at least one row and one column");
    x = differentiable(z.view(), dz.view().rows_from(0, 3));
    CHECK(
        at_once() ==
        "supervised_contrastive_with_gradients: gradient of z: got shape (3, 3), wanted shape (4, "
        "3) as z");
    x = differentiable(dz.view(), dz.view());
    CHECK(backward() ==
          "supervised_contrastive_backward: gradient of z: got memory that overlaps z, wanted "
          "memory of its own");
  }
  SECTION("labels") {
    labels = {numbers.data(), 5};
    check_all("labels: got 5 elements, wanted 4 (a label a row of z)");
    labels = {nullptr, 4};
    check_all("labels: got a null pointer with shape (4), wanted a pointer to its elements");
  }
  SECTION("numbers") {
    options.temperature = 0;
    check_all("temperature: got 0, wanted a finite number above 0");
    options.temperature = 0.1;
    options.learnable_temperature = stop_gradient(vector_view<float>(ones.data(), 2));
    check_all("learnable_temperature: got 2 elements, wanted 1 (a scalar)");
    options.learnable_temperature = {};
    options.gradient_scale = std::numeric_limits<double>::infinity();
    check_all("gradient_scale: got inf, wanted a finite number");
    options.gradient_scale = 1;
    options.row_weights = {ones.data(), 3};
    check_all("row_weights: got 3 elements, wanted 4 (one a row of the loss)");
  }
  SECTION("loss, statistics, cotangent") {
    loss_view = {loss.data(), 2};
    CHECK(at_once() ==
          "supervised_contrastive_with_gradients: loss: got 2 elements, wanted 1 (the reduced "
          "loss)");
    loss_view = {loss.data(), 1};
    statistics_view = {statistics.data(), 3};
    CHECK(forward() ==
          "supervised_contrastive: statistics: got 3 elements, wanted 4 (a number a row of the "
          "loss)");
    CHECK(backward() ==
          "supervised_contrastive_backward: statistics: got 3 elements, wanted 4 (as the forward "
          "pass wrote them)");
    statistics_view = {statistics.data(), 4};
    cotangent = {};
    CHECK(backward() ==
          "supervised_contrastive_backward: cotangent: got no elements, wanted one, or one a row "
          "with reduce::none");
  }
  SECTION("a loss that is returned is one number") {
    const std::string wanted =
        "reduction: got none, wanted mean or sum, or a view for a loss a row";
    CHECK(testing::message_of([&] {
            feaug::supervised_contrastive(ctx, x.value, labels, {.reduction = reduce::none});
          }) == "supervised_contrastive: " + wanted);
    CHECK(testing::message_of([&] {
            feaug::supervised_contrastive_with_gradients(ctx, x, labels,
                                                         {.reduction = reduce::none});
          }) == "supervised_contrastive_with_gradients: " + wanted);
  }
  CHECK(dz.values() == std::vector<double>(12, 5.0));
  CHECK(loss == std::vector<float>(4, 5.0F));
  CHECK(statistics == std::vector<float>(4, 5.0F));
}

}  // namespace supervised_contrastive_test
