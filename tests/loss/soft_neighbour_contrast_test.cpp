// soft_neighbour_contrast: formula, edge cases.
#include "feaug/cpu/loss/soft_neighbour_contrast.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include "feaug/cpu/loss/info_nce.hpp"
#include "loss/formula.hpp"
#include "support/test_matrix.hpp"

namespace soft_neighbour_contrast_test {

using feaug::cpu_context;
using feaug::differentiable;
using feaug::index_t;
using feaug::reduce;
using feaug::stop_gradient;
using testing::test_matrix;

namespace {

/// The attention; if it is the queries themselves, it is a constant without gradient.
template <class S>
testing::rows_of<S> attention_of(const testing::formula_inputs<S>& in) {
  if (in.has("attention")) return in.matrix("attention");
  testing::rows_of<S> rows = in.matrix("queries");
  const auto constants = in.constant("queries");
  for (index_t i = 0; i < rows.size(); ++i) {
    for (std::size_t j = 0; j < constants[i].size(); ++j)
      rows.row[static_cast<std::size_t>(i)][j] = S(rows[i][j] * 0.0 + constants[i][j]);
  }
  return rows;
}

/// Cross-entropy, computed label by label.
const testing::registered_formula formula(
    "soft_neighbour_contrast", {"queries", "attention"},
    []<class S>(const testing::formula_inputs<S>& in) {
      using std::exp;
      const bool normalize = in.option("normalize", true);
      const auto queries = testing::directions(in.matrix("queries"), normalize);
      const auto attention = testing::directions(attention_of(in), normalize);
      const auto keys = testing::directions(in.matrix("keys"), normalize);
      const auto neighbours = testing::directions(in.matrix("neighbours"), normalize);
      const index_t rows = keys.size();
      const index_t k = neighbours.size() / rows;
      std::vector<S> losses;
      for (index_t i = 0; i < rows; ++i) {
        std::vector<S> logits;
        for (const auto& columns : {keys, neighbours}) {
          for (index_t c = 0; c < columns.size(); ++c)
            logits.push_back(testing::dot(queries[i], columns[c]) *
                             (1 / in.option("temperature", 0.1)));
        }
        const S log_sum_exp = testing::log_sum_exp(logits);
        std::vector<S> looks;
        for (index_t rank = 0; rank < k; ++rank)
          looks.push_back(testing::dot(attention[i], neighbours[i * k + rank]) *
                          (1 / in.option("label_temperature", 1.0)));
        const S looks_sum = testing::log_sum_exp(looks);
        S loss = log_sum_exp - logits[static_cast<std::size_t>(i)];
        for (index_t rank = 0; rank < k; ++rank) {
          const S label = exp(looks[static_cast<std::size_t>(rank)] - looks_sum) *
                          in.option("neighbour_weight", 1.0);
          loss += label * (log_sum_exp - logits[static_cast<std::size_t>(rows + i * k + rank)]);
        }
        losses.push_back(loss);
      }
      return losses;
    });

}  // namespace

TEST_CASE("soft_neighbour_contrast: edge cases", "[soft_neighbour_contrast]") {
  cpu_context ctx{.threads = 1};
  auto q = test_matrix<float>::normal(4, 3, 1);
  auto keys = test_matrix<float>::normal(4, 3, 2);
  auto neighbours = test_matrix<float>::normal(8, 3, 3);
  test_matrix<float> dq(4, 3);
  std::vector<float> losses(4);
  feaug::soft_neighbour_contrast_options<float> options = {.reduction = reduce::none};
  const auto run = [&] {
    feaug::soft_neighbour_contrast_with_gradients(ctx, differentiable(q.view(), dq.view()),
                                                  keys.view(), neighbours.view(),
                                                  {losses.data(), 4}, options);
  };
  SECTION("neighbours of weight 0 are plain negatives, as in info_nce") {
    options.neighbour_weight = 0;
    run();
    std::vector<float> want(4);
    test_matrix<float> want_dq(4, 3);
    feaug::info_nce_with_gradients(
        ctx, differentiable(q.view(), want_dq.view()), stop_gradient(keys.view()), {want.data(), 4},
        {.reduction = reduce::none, .negatives = stop_gradient(neighbours.view())});
    CHECK(testing::relative_error({losses.begin(), losses.end()}, {want.begin(), want.end()}) <
          1e-5);
    CHECK(testing::relative_error(dq.values(), want_dq.values()) < 1e-4);
  }
  SECTION("zero, tiny and huge rows, a low temperature") {
    q.fill_row(0, 0.0);
    q.fill_row(1, 1e-30);
    q.fill_row(2, -1e18);
    keys.fill_row(3, 0.0);
    neighbours.fill_row(5, 1e18);
    options.temperature = 1e-3;
    run();
    for (const float loss : losses) CHECK(std::isfinite(loss));
    for (const double v : dq.values()) CHECK(std::isfinite(v));
    for (index_t j = 0; j < 3; ++j) CHECK((dq.get(0, j) == 0.0 && dq.get(1, j) == 0.0));
    CHECK(losses[0] == Approx(2 * std::log(12.0)).epsilon(1e-5));
  }
  SECTION("NaN and infinity affect the rows that read them") {
    const double bad =
        GENERATE(std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity());
    auto z = test_matrix<float>::normal(4, 3, 4);
    options.attention = stop_gradient(z.view());
    q.set(1, 0, bad);
    z.set(2, 1, bad);
    run();
    for (index_t i = 0; i < 4; ++i) {
      CHECK(std::isnan(losses[static_cast<std::size_t>(i)]) == (i == 1 || i == 2));
      for (index_t j = 0; j < 3; ++j) CHECK(std::isnan(dq.get(i, j)) == (i == 1 || i == 2));
    }
    neighbours.set(7, 2, bad);
    run();
    for (const float loss : losses) CHECK(std::isnan(loss));
  }
}

}  // namespace soft_neighbour_contrast_test
