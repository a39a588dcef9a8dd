// info_nce against its formula, automatic differentiation and central differences; and at the
// edges.
#include "feaug/cpu/loss/info_nce.hpp"

#include <array>
#include <catch2/catch.hpp>
#include <limits>
#include <vector>

#include "loss/reference.hpp"
#include "support/automatic_gradient.hpp"
#include "support/test_matrix.hpp"

namespace info_nce_test {

using feaug::accumulate;
using feaug::compute_t;
using feaug::cpu_context;
using feaug::differentiable;
using feaug::index_t;
using feaug::info_nce_options;
using feaug::reduce;
using feaug::stop_gradient;
using feaug::vector_view;
using testing::test_matrix;

namespace {

struct setting {
  index_t rows, keys, negatives, cols;
  double temperature;
  testing::info_nce_setting how = {};
};

/// Sizes: one of each, one column, odd ones, more than one tile of rows, more than one chunk of
/// columns.
const std::vector<setting> settings = {
    {1, 1, 0, 3, 0.5},
    {1, 1, 4, 3, 0.1},
    {3, 3, 0, 1, 0.5},
    {5, 9, 7, 4, 0.07, {.positive_offset = 3}},
    {4, 4, 6, 5, 0.2, {.in_batch_negatives = false}},
    {4, 6, 0, 5, 0.2, {.positive_offset = 2, .in_batch_negatives = false}},
    {6, 6, 3, 5, 2.0, {.normalize = false}},
    {7, 7, 2, 5, 0.01},
};

template <class S>
S reference(const setting& s, const std::vector<S>& x, const std::vector<double>& weights) {
  const auto size = [&](index_t rows) { return static_cast<std::size_t>(rows * s.cols); };
  const testing::rows_of<S> queries(x, 0, s.rows, s.cols);
  const testing::rows_of<S> keys(x, size(s.rows), s.keys, s.cols);
  const testing::rows_of<S> negatives(x, size(s.rows + s.keys), s.negatives, s.cols);
  return testing::weighted(testing::info_nce_rows(queries, keys, negatives, x.back(), s.how),
                           weights);
}

/// Inputs, destinations and the reference for one setting.
template <class T>
struct fixture {
  using C = compute_t<T>;
  setting s;
  test_matrix<T> queries, keys, negatives, d_queries, d_keys, d_negatives;
  C temperature;
  C d_temperature = std::numeric_limits<C>::quiet_NaN();

  explicit fixture(const setting& which, index_t padding = 2)
      : s(which),
        queries(test_matrix<T>::normal(s.rows, s.cols, 1, padding)),
        keys(test_matrix<T>::normal(s.keys, s.cols, 2, padding)),
        negatives(test_matrix<T>::normal(s.negatives, s.cols, 3, padding)),
        d_queries(s.rows, s.cols, padding),
        d_keys(s.keys, s.cols, padding),
        d_negatives(s.negatives, s.cols, padding),
        temperature(static_cast<C>(s.temperature)) {
    reset();
  }

  void reset() {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    d_queries.fill(nan);
    d_keys.fill(nan);
    d_negatives.fill(nan);
  }

  info_nce_options<T> options(reduce reduction) {
    return {.reduction = reduction,
            .positive_offset = s.how.positive_offset,
            .in_batch_negatives = s.how.in_batch_negatives,
            .normalize = s.how.normalize,
            .negatives = differentiable(negatives.view(), d_negatives.view()),
            .learnable_temperature =
                differentiable(feaug::scalar(temperature), feaug::scalar(d_temperature))};
  }

  std::vector<double> inputs() const {
    std::vector<double> x = queries.values();
    for (double v : keys.values()) x.push_back(v);
    for (double v : negatives.values()) x.push_back(v);
    x.push_back(static_cast<double>(temperature));
    return x;
  }

  std::vector<double> gradients() const {
    std::vector<double> g = d_queries.values();
    for (double v : d_keys.values()) g.push_back(v);
    for (double v : d_negatives.values()) g.push_back(v);
    g.push_back(static_cast<double>(d_temperature));
    return g;
  }
};

}  // namespace

TEMPLATE_TEST_CASE("info_nce and its gradients are the formula's", "[info_nce]", double, float,
                   feaug::half, feaug::bfloat16) {
  using C = compute_t<TestType>;
  const setting s = GENERATE(from_range(settings));
  const bool mean = GENERATE(true, false);
  CAPTURE(s.rows, s.keys, s.negatives, s.cols, s.temperature, mean);
  // At τ = 0.01 a 16-bit key that rounds off by 2⁻⁹ moves a logit by 0.2; there only the wider
  // types are held to the formula.
  if (sizeof(TestType) == 2 && s.temperature < 0.05) return;
  fixture<TestType> f(s);
  const std::vector<double> weights = testing::equal_weights(s.rows, mean);
  const auto want = testing::automatic_gradient(
      [&](const std::vector<testing::dual>& x) { return reference(s, x, weights); }, f.inputs());
  if (std::is_same_v<TestType, double>) {
    const auto slopes = testing::central_differences(
        [&](const std::vector<double>& x) { return reference(s, x, weights); }, f.inputs(), 1e-6);
    CHECK(testing::relative_error(want.gradient, slopes) < 1e-5);
  }
  const double allowed = testing::tolerance<TestType>() * (s.temperature < 0.05 ? 20 : 1);
  const auto options = f.options(mean ? reduce::mean : reduce::sum);
  cpu_context ctx{.threads = 2};

  const C loss =
      feaug::info_nce_with_gradients(ctx, differentiable(f.queries.view(), f.d_queries.view()),
                                     differentiable(f.keys.view(), f.d_keys.view()), options);
  CHECK(static_cast<double>(loss) == Approx(want.value).epsilon(allowed).margin(allowed));
  CHECK(testing::relative_error(f.gradients(), want.gradient, 1e-2) < allowed);
  CHECK((f.d_queries.padding_intact() && f.d_keys.padding_intact() &&
         f.d_negatives.padding_intact()));

  f.reset();
  std::vector<C> statistics(static_cast<std::size_t>(s.rows));
  const vector_view<C> statistics_view(statistics.data(), s.rows);
  C forward_loss{};
  feaug::info_nce(ctx, f.queries.view(), f.keys.view(), feaug::scalar(forward_loss), options,
                  statistics_view);
  CHECK(forward_loss == loss);
  C one{1};
  feaug::info_nce_backward(ctx, differentiable(f.queries.view(), f.d_queries.view()),
                           differentiable(f.keys.view(), f.d_keys.view()), statistics_view,
                           feaug::scalar(one), options);
  CHECK(testing::relative_error(f.gradients(), want.gradient, 1e-2) < allowed);
}

TEST_CASE("info_nce without reduction takes a cotangent a row", "[info_nce]") {
  const setting s{5, 6, 3, 4, 0.3, {.positive_offset = 1}};
  fixture<double> f(s);
  const std::vector<double> cotangent = {0.5, -1.0, 0.0, 2.0, 1.5};
  const auto want = testing::automatic_gradient(
      [&](const std::vector<testing::dual>& x) { return reference(s, x, cotangent); }, f.inputs());
  cpu_context ctx{.threads = 1};
  std::vector<double> losses(5);
  std::vector<double> statistics(5);
  const vector_view<double> statistics_view(statistics.data(), 5);
  auto options = f.options(reduce::none);
  feaug::info_nce(ctx, f.queries.view(), f.keys.view(), {losses.data(), 5}, options,
                  statistics_view);
  const auto row_losses = testing::info_nce_rows(
      testing::rows_of<double>(f.inputs(), 0, 5, 4), testing::rows_of<double>(f.inputs(), 20, 6, 4),
      testing::rows_of<double>(f.inputs(), 44, 3, 4), 0.3, s.how);
  CHECK(testing::relative_error(losses, row_losses) < 1e-12);
  feaug::info_nce_backward(ctx, differentiable(f.queries.view(), f.d_queries.view()),
                           differentiable(f.keys.view(), f.d_keys.view()), statistics_view,
                           {cotangent.data(), 5}, options);
  CHECK(testing::relative_error(f.gradients(), want.gradient) < 1e-9);

  SECTION("row weights do the same in one call") {
    f.reset();
    options.row_weights = {cotangent.data(), 5};
    feaug::info_nce_with_gradients(ctx, differentiable(f.queries.view(), f.d_queries.view()),
                                   differentiable(f.keys.view(), f.d_keys.view()),
                                   {losses.data(), 5}, options);
    CHECK(testing::relative_error(f.gradients(), want.gradient) < 1e-9);
    CHECK(losses[3] == Approx(2.0 * row_losses[3]));
  }
}

TEST_CASE("a stopped side is neither written nor needed by the other", "[info_nce]") {
  const setting s{6, 7, 5, 4, 0.2, {.positive_offset = 1}};
  fixture<float> both(s);
  cpu_context ctx{.threads = 1};
  const auto options = both.options(reduce::mean);
  feaug::info_nce_with_gradients(ctx, differentiable(both.queries.view(), both.d_queries.view()),
                                 differentiable(both.keys.view(), both.d_keys.view()), options);
  auto stopped = options;
  stopped.negatives = stop_gradient(both.negatives.view());
  test_matrix<float> alone(6, 4);
  feaug::info_nce_with_gradients(ctx, differentiable(both.queries.view(), alone.view()),
                                 stop_gradient(both.keys.view()), stopped);
  CHECK(alone.values() == both.d_queries.values());
  test_matrix<float> keys_alone(7, 4);
  feaug::info_nce_with_gradients(ctx, stop_gradient(both.queries.view()),
                                 differentiable(both.keys.view(), keys_alone.view()), stopped);
  CHECK(keys_alone.values() == both.d_keys.values());
}

TEST_CASE("accumulate adds, gradient_scale multiplies gradients alone", "[info_nce]") {
  const setting s{6, 6, 0, 4, 0.2};
  fixture<double> f(s);
  cpu_context ctx{.threads = 1};
  const double loss = feaug::info_nce_with_gradients(
      ctx, differentiable(f.queries.view(), f.d_queries.view()),
      differentiable(f.keys.view(), f.d_keys.view()), {.temperature = 0.2});
  test_matrix<double> sum(6, 4);
  sum.fill(1.0);
  const double same = feaug::info_nce_with_gradients(ctx, accumulate(f.queries.view(), sum.view()),
                                                     stop_gradient(f.keys.view()),
                                                     {.temperature = 0.2, .gradient_scale = 3.0});
  CHECK(same == loss);
  for (index_t i = 0; i < 6; ++i) {
    for (index_t j = 0; j < 4; ++j)
      CHECK(sum.get(i, j) == Approx(1.0 + 3.0 * f.d_queries.get(i, j)));
  }
}

TEST_CASE("info_nce gives the same bits for any number of threads", "[info_nce]") {
  const index_t rows = 300;
  const auto queries = test_matrix<float>::normal(rows, 33, 1);
  const auto keys = test_matrix<float>::normal(rows + 401, 33, 2);
  std::array<std::vector<double>, 3> results;
  for (int threads = 1; threads <= 3; ++threads) {
    cpu_context ctx{.threads = threads};
    test_matrix<float> d_queries(rows, 33);
    test_matrix<float> d_keys(rows + 401, 33);
    const float loss = feaug::info_nce_with_gradients(
        ctx, differentiable(queries.view(), d_queries.view()),
        differentiable(keys.view(), d_keys.view()), {.positive_offset = 100});
    std::vector<double>& all = results[static_cast<std::size_t>(threads - 1)];
    all = d_queries.values();
    for (double v : d_keys.values()) all.push_back(v);
    all.push_back(static_cast<double>(loss));
  }
  CHECK(results[0] == results[1]);
  CHECK(results[0] == results[2]);
}

TEST_CASE("info_nce is right where tiles and chunks meet", "[info_nce]") {
  // Against the formula in double: more than one block of rows and more than one chunk of columns.
  const setting s{70, 300, 40, 19, 0.1, {.positive_offset = 200}};
  fixture<double> f(s, 0);
  const std::vector<double> weights = testing::equal_weights(70, true);
  cpu_context ctx{.threads = 2};
  const double loss = feaug::info_nce_with_gradients(
      ctx, differentiable(f.queries.view(), f.d_queries.view()),
      differentiable(f.keys.view(), f.d_keys.view()), f.options(reduce::mean));
  const std::vector<double> x = f.inputs();
  CHECK(loss == Approx(reference(s, x, weights)).epsilon(1e-10));
  const std::vector<double> got = f.gradients();
  for (const std::size_t at :
       {std::size_t{0}, std::size_t{700}, std::size_t{1329}, std::size_t{1330 + 19 * 250},
        std::size_t{1330 + 19 * 299}, x.size() - 20, x.size() - 1}) {
    std::vector<double> moved = x;
    moved[at] = x[at] + 1e-5;
    const double above = reference(s, moved, weights);
    moved[at] = x[at] - 1e-5;
    const double below = reference(s, moved, weights);
    CHECK(got[at] == Approx((above - below) / 2e-5).epsilon(1e-5).margin(1e-9));
  }
}

TEST_CASE("info_nce at the edges", "[info_nce]") {
  cpu_context ctx{.threads = 1};
  auto queries = test_matrix<float>::normal(4, 3, 1);
  auto keys = test_matrix<float>::normal(4, 3, 2);
  test_matrix<float> d_queries(4, 3);
  test_matrix<float> d_keys(4, 3);
  const auto run = [&](double temperature) {
    return feaug::info_nce_with_gradients(ctx, differentiable(queries.view(), d_queries.view()),
                                          differentiable(keys.view(), d_keys.view()),
                                          {.temperature = temperature});
  };
  const auto all_finite = [](const test_matrix<float>& m) {
    for (double v : m.values()) {
      if (!std::isfinite(v)) return false;
    }
    return true;
  };

  SECTION("a zero row has cosine 0 and no gradient") {
    queries.fill_row(1, 0.0);
    keys.fill_row(2, 0.0);
    CHECK(std::isfinite(run(0.1)));
    CHECK(all_finite(d_queries));
    for (index_t j = 0; j < 3; ++j) {
      CHECK(d_queries.get(1, j) == 0.0);
      CHECK(d_keys.get(2, j) == 0.0);
    }
  }
  SECTION("huge, tiny and mixed rows are finite down to a temperature of 1e-3") {
    for (index_t j = 0; j < 3; ++j) {
      queries.set(0, j, queries.get(0, j) * 1e18);
      queries.set(1, j, queries.get(1, j) * 1e-30);
      keys.set(3, j, -1e18);
    }
    CHECK(std::isfinite(run(1e-3)));
    CHECK(all_finite(d_queries));
    CHECK(all_finite(d_keys));
  }
  SECTION("one pair is certain") {
    queries = test_matrix<float>::normal(1, 3, 1);
    keys = test_matrix<float>::normal(1, 3, 2);
    d_queries = test_matrix<float>(1, 3);
    d_keys = test_matrix<float>(1, 3);
    CHECK(run(0.1) == 0.0F);
    CHECK(d_queries.values() == std::vector<double>(3, 0.0));
    CHECK(d_keys.values() == std::vector<double>(3, 0.0));
  }
  SECTION("equal rows: log N") {
    for (index_t i = 0; i < 4; ++i) {
      for (index_t j = 0; j < 3; ++j) {
        queries.set(i, j, 1.0);
        keys.set(i, j, 1.0);
      }
    }
    CHECK(run(0.1) == Approx(std::log(4.0)).epsilon(1e-6));
  }
  SECTION("NaN and infinity reach every row that reads them, and only those") {
    const double bad =
        GENERATE(std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity());
    std::vector<float> losses(4);
    queries.set(1, 2, bad);
    feaug::info_nce(ctx, queries.view(), keys.view(), {losses.data(), 4},
                    {.reduction = reduce::none});
    CHECK(std::isnan(losses[1]));
    CHECK((std::isfinite(losses[0]) && std::isfinite(losses[2]) && std::isfinite(losses[3])));
    CHECK(std::isnan(run(0.1)));
    CHECK(std::isnan(d_queries.get(1, 0)));
    CHECK(std::isnan(d_keys.get(0, 0)));
    queries.set(1, 2, 0.5);
    keys.set(3, 0, bad);
    feaug::info_nce(ctx, queries.view(), keys.view(), {losses.data(), 4},
                    {.reduction = reduce::none});
    for (float loss : losses) CHECK(std::isnan(loss));
  }
  SECTION("a winner by far: the loss keeps its digits where 1 − p rounds to 0") {
    test_matrix<double> q(2, 2);
    test_matrix<double> k(2, 2);
    q.set(0, 0, 1);
    q.set(1, 1, 1);
    k.set(0, 0, 1);
    k.set(1, 1, 1);
    const double loss = feaug::info_nce(ctx, q.view(), k.view(), {.temperature = 0.02});
    CHECK(loss == Approx(std::exp(-50.0)).epsilon(1e-9));
  }
}

TEST_CASE("info_nce names what is wrong, before it writes", "[info_nce]") {
  cpu_context ctx{.threads = 1};
  const auto queries = test_matrix<float>::normal(4, 3, 1);
  const auto keys = test_matrix<float>::normal(4, 3, 2);
  test_matrix<float> d_queries(4, 3);
  d_queries.fill(5.0);
  const auto q = differentiable(queries.view(), d_queries.view());
  const auto k = stop_gradient(keys.view());
  const auto says = [&](const std::string& text, const auto& call) {
    CHECK_THROWS_WITH(call(), Catch::Matchers::Contains(text));
    CHECK(d_queries.values() == std::vector<double>(12, 5.0));
  };
  const auto with = [&](const info_nce_options<float>& options) {
    return [&, options] { feaug::info_nce_with_gradients(ctx, q, k, options); };
  };
  const double nan = std::numeric_limits<double>::quiet_NaN();

  says("info_nce_with_gradients: temperature: got 0, wanted a finite number above 0",
       with({.temperature = 0}));
  says("temperature: got -1", with({.temperature = -1}));
  says("temperature: got nan", with({.temperature = nan}));
  says("temperature: got inf", with({.temperature = std::numeric_limits<double>::infinity()}));
  says("gradient_scale: got nan", with({.gradient_scale = nan}));
  says("keys: got 4 rows, wanted at least 4 queries + positive_offset 1",
       with({.positive_offset = 1}));
  says("positive_offset -1", with({.positive_offset = -1}));
  says("reduction: got none, wanted mean or sum", with({.reduction = reduce::none}));
  float one = 1;
  says("row_weights: got 1 elements, wanted 4", with({.row_weights = feaug::scalar(one)}));
  const auto wide = test_matrix<float>::normal(4, 5, 3);
  says("negatives: got 5 columns, wanted 3 as queries",
       with({.negatives = stop_gradient(wide.view())}));
  says("keys: got 5 columns, wanted 3 as queries",
       [&] { feaug::info_nce_with_gradients(ctx, q, stop_gradient(wide.view())); });
  const feaug::matrix_view<const float> missing(nullptr, 4, 3);
  says("keys: got a null pointer with shape (4, 3)",
       [&] { feaug::info_nce_with_gradients(ctx, q, stop_gradient(missing)); });
  const feaug::matrix_view<const float> none(nullptr, 0, 3);
  says("queries: got shape (0, 3), wanted at least one row and one column",
       [&] { feaug::info_nce(ctx, none, keys.view()); });
  const feaug::matrix_view<const float> narrow(queries.view().data, 4, 3, 2);
  says("queries: got row stride 2, wanted 0 or at least 3",
       [&] { feaug::info_nce(ctx, narrow, keys.view()); });
  auto turned = queries.view();
  turned.strides[1] = 2;
  says("queries: got stride 2 along the features",
       [&] { feaug::info_nce(ctx, turned, keys.view()); });
  test_matrix<float> small(3, 3);
  says("gradient of queries: got shape (3, 3), wanted shape (4, 3) as queries", [&] {
    feaug::info_nce_with_gradients(ctx, differentiable(queries.view(), small.view()), k);
  });
  says("gradient of queries: got memory that overlaps queries, wanted memory of its own", [&] {
    feaug::info_nce_with_gradients(ctx, differentiable(d_queries.view(), d_queries.view()), k);
  });
  says("gradient of queries: got memory that overlaps keys",
       [&] { feaug::info_nce_with_gradients(ctx, q, stop_gradient(d_queries.view())); });
  std::vector<float> losses(3);
  says("loss: got 3 elements, wanted 4 (a loss a row)", [&] {
    feaug::info_nce(ctx, queries.view(), keys.view(), {losses.data(), 3},
                    {.reduction = reduce::none});
  });
  says("statistics: got 3 elements, wanted 4", [&] {
    feaug::info_nce_backward(ctx, q, k, {losses.data(), 3}, feaug::scalar(one));
  });
  float temperature = 0;
  says("learnable_temperature: got 0",
       with({.learnable_temperature = stop_gradient(feaug::scalar(temperature))}));
}

}  // namespace info_nce_test
