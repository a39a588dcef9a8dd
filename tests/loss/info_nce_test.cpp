// info_nce: formula, edge cases.
#include "feaug/cpu/loss/info_nce.hpp"

#include <catch2/catch.hpp>
#include <limits>
#include <vector>

#include "loss/info_nce_formula.hpp"
#include "support/test_matrix.hpp"

namespace info_nce_test {

using feaug::cpu_context;
using feaug::differentiable;
using feaug::index_t;
using feaug::reduce;
using testing::test_matrix;

namespace {

const testing::registered_formula formula("info_nce",
                                          {"queries", "keys", "negatives", "temperature"},
                                          []<class S>(const testing::formula_inputs<S>& in) {
                                            return testing::info_nce_rows(
                                                in, [](index_t, const std::vector<S>&) {
                                                  return std::vector<S>();
                                                });
                                          });

}  // namespace

TEST_CASE("info_nce: edge cases", "[info_nce]") {
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
  SECTION("huge, tiny and mixed rows give finite results down to a temperature of 1e-3") {
    for (index_t j = 0; j < 3; ++j) {
      queries.set(0, j, queries.get(0, j) * 1e18);
      queries.set(1, j, queries.get(1, j) * 1e-30);
      keys.set(3, j, -1e18);
    }
    CHECK(std::isfinite(run(1e-3)));
    CHECK(all_finite(d_queries));
    CHECK(all_finite(d_keys));
  }
  SECTION("an offset whose sum with the rows overflows is refused") {
    constexpr index_t huge = std::numeric_limits<index_t>::max();
    CHECK_THROWS_WITH(feaug::info_nce(ctx, queries.view(), keys.view(), {.positive_offset = huge}),
                      Catch::Contains("keys: got 4 rows"));
  }
  SECTION("negatives without columns are refused") {
    const feaug::matrix_view<const float> none(nullptr, 4, 0);
    const feaug::info_nce_options<float> options = {.negatives = feaug::stop_gradient(none)};
    CHECK_THROWS_WITH(feaug::info_nce(ctx, queries.view(), keys.view(), options),
                      Catch::Contains("negatives: got 0 columns, wanted 3 as queries"));
  }
  SECTION("a single pair has loss 0") {
    queries = test_matrix<float>::normal(1, 3, 1);
    keys = test_matrix<float>::normal(1, 3, 2);
    d_queries = test_matrix<float>(1, 3);
    d_keys = test_matrix<float>(1, 3);
    CHECK(run(0.1) == 0.0F);
    CHECK(d_queries.values() == std::vector<double>(3, 0.0));
    CHECK(d_keys.values() == std::vector<double>(3, 0.0));
  }
  SECTION("equal rows have loss log N") {
    for (index_t i = 0; i < 4; ++i) {
      for (index_t j = 0; j < 3; ++j) {
        queries.set(i, j, 1.0);
        keys.set(i, j, 1.0);
      }
    }
    CHECK(run(0.1) == Approx(std::log(4.0)).epsilon(1e-6));
  }
  SECTION("NaN and infinity affect exactly the rows that read them") {
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
  SECTION("a dominant positive: the loss stays accurate where 1 − p rounds to 0") {
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

}  // namespace info_nce_test
