// symmetric_info_nce: its formula, registered for formula_test.cpp, and a comparison with info_nce.
#include "feaug/cpu/loss/symmetric_info_nce.hpp"

#include <catch2/catch.hpp>

#include "feaug/cpu/loss/info_nce.hpp"
#include "loss/formula.hpp"
#include "support/test_matrix.hpp"

namespace symmetric_info_nce_test {

using feaug::index_t;
using testing::test_matrix;

namespace {

const testing::registered_formula formula(
    "symmetric_info_nce", {"queries", "keys", "temperature"},
    []<class S>(const testing::formula_inputs<S>& in) {
      const auto queries = testing::directions(in.matrix("queries"));
      const auto keys = testing::directions(in.matrix("keys"));
      const S temperature = in.number("temperature", 0.1);
      std::vector<S> losses;
      for (index_t i = 0; i < queries.size(); ++i) {
        std::vector<S> there;
        std::vector<S> back;
        for (index_t j = 0; j < keys.size(); ++j) {
          there.push_back(testing::dot(queries[i], keys[j]) / temperature);
          back.push_back(testing::dot(keys[i], queries[j]) / temperature);
        }
        const S positive = there[static_cast<std::size_t>(i)];
        losses.push_back(
            S((testing::log_sum_exp(there) + testing::log_sum_exp(back)) * 0.5 - positive));
      }
      return losses;
    });

}  // namespace

TEST_CASE("symmetric_info_nce is the mean of info_nce in both directions", "[symmetric_info_nce]") {
  const auto a = test_matrix<double>::normal(90, 6, 1);
  const auto b = test_matrix<double>::normal(90, 6, 2);
  feaug::cpu_context ctx{.threads = 2};
  const double both = feaug::symmetric_info_nce(ctx, a.view(), b.view(), {.temperature = 0.05});
  const double there = feaug::info_nce(ctx, a.view(), b.view(), {.temperature = 0.05});
  const double back = feaug::info_nce(ctx, b.view(), a.view(), {.temperature = 0.05});
  CHECK(both == Approx((there + back) / 2).epsilon(1e-13));
}

}  // namespace symmetric_info_nce_test
