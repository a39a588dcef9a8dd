// symmetric_info_nce against its formula, automatic differentiation and info_nce; and at the edges.
#include "feaug/cpu/loss/symmetric_info_nce.hpp"

#include <catch2/catch.hpp>

#include "feaug/cpu/loss/info_nce.hpp"
#include "loss/two_view_test.hpp"

namespace symmetric_info_nce_test {

using feaug::index_t;
using feaug::reduce;
using testing::test_matrix;

namespace {

struct symmetric_loss {
  static index_t losses(index_t rows) { return rows; }
  static index_t statistics(index_t rows) { return 2 * rows; }
  template <class T>
  static feaug::symmetric_info_nce_options<T> options_with(
      reduce reduction, const feaug::operand<feaug::compute_t<T>, 1>& temperature) {
    return {.reduction = reduction, .learnable_temperature = temperature};
  }
  template <class S>
  static std::vector<S> rows(const testing::rows_of<S>& a, const testing::rows_of<S>& b,
                             const S& temperature) {
    return testing::symmetric_info_nce_rows(a, b, temperature);
  }
  static constexpr auto forward = [](auto&&... in) { feaug::symmetric_info_nce(in...); };
  static constexpr auto backward = [](auto&&... in) { feaug::symmetric_info_nce_backward(in...); };
  static constexpr auto with_gradients = [](auto&&... in) {
    return feaug::symmetric_info_nce_with_gradients(in...);
  };
};

}  // namespace

TEMPLATE_TEST_CASE("symmetric_info_nce and its gradients are the formula's", "[symmetric_info_nce]",
                   double, float, feaug::half, feaug::bfloat16) {
  const auto [rows, cols] = GENERATE(table<index_t, index_t>({{1, 3}, {3, 1}, {5, 4}, {11, 7}}));
  const reduce reduction = GENERATE(reduce::mean, reduce::sum, reduce::none);
  CAPTURE(rows, cols, static_cast<int>(reduction));
  testing::check_against_formula<TestType>(symmetric_loss{}, rows, cols, {0.25}, reduction);
}

TEST_CASE("symmetric_info_nce is the mean of both directions of info_nce", "[symmetric_info_nce]") {
  const auto a = test_matrix<double>::normal(90, 6, 1);
  const auto b = test_matrix<double>::normal(90, 6, 2);
  feaug::cpu_context ctx{.threads = 2};
  const double both = feaug::symmetric_info_nce(ctx, a.view(), b.view(), {.temperature = 0.05});
  const double there = feaug::info_nce(ctx, a.view(), b.view(), {.temperature = 0.05});
  const double back = feaug::info_nce(ctx, b.view(), a.view(), {.temperature = 0.05});
  CHECK(both == Approx((there + back) / 2).epsilon(1e-13));
}

TEST_CASE("symmetric_info_nce gives the same bits for any number of threads",
          "[symmetric_info_nce]") {
  testing::check_thread_counts(symmetric_loss{});
}

TEST_CASE("symmetric_info_nce is finite for rows of any size", "[symmetric_info_nce]") {
  testing::check_extreme_rows(symmetric_loss{}, {1e-3F});
}

TEST_CASE("symmetric_info_nce names what is wrong", "[symmetric_info_nce]") {
  const auto a = test_matrix<float>::normal(4, 3, 1);
  const auto b = test_matrix<float>::normal(5, 3, 2);
  feaug::cpu_context ctx{.threads = 1};
  using Catch::Matchers::Contains;
  CHECK_THROWS_WITH(
      feaug::symmetric_info_nce(ctx, a.view(), b.view()),
      Contains("symmetric_info_nce: keys: got shape (5, 3), wanted shape (4, 3) as queries"));
  CHECK_THROWS_WITH(feaug::symmetric_info_nce(ctx, a.view(), a.view(), {.temperature = -0.5}),
                    Contains("symmetric_info_nce: temperature: got -0.5"));
  std::vector<float> statistics(4);
  float one = 1;
  test_matrix<float> d(4, 3);
  CHECK_THROWS_WITH(feaug::symmetric_info_nce_backward(
                        ctx, feaug::differentiable(a.view(), d.view()),
                        feaug::stop_gradient(a.view()), {statistics.data(), 4}, feaug::scalar(one)),
                    Contains("statistics: got 4 elements, wanted 8"));
}

}  // namespace symmetric_info_nce_test
