// nt_xent, plain and decoupled, against its formula and automatic differentiation; and at the
// edges.
#include "feaug/cpu/loss/nt_xent.hpp"

#include <catch2/catch.hpp>

#include "loss/two_view_test.hpp"

namespace nt_xent_test {

using feaug::index_t;
using feaug::reduce;
using testing::test_matrix;

namespace {

struct nt_xent_loss {
  bool decoupled = false;
  double sigma = 0;                           // of the positives' weights …
  std::vector<double> positive_weights = {};  // … which are constants

  static index_t losses(index_t rows) { return 2 * rows; }
  static index_t statistics(index_t rows) { return 2 * rows; }
  template <class T>
  feaug::nt_xent_options<T> options_with(
      reduce reduction, const feaug::operand<feaug::compute_t<T>, 1>& temperature) const {
    return {.reduction = reduction,
            .decoupled = decoupled,
            .positive_weighting = sigma,
            .learnable_temperature = temperature};
  }
  template <class S>
  std::vector<S> rows(const testing::rows_of<S>& a, const testing::rows_of<S>& b,
                      const S& temperature) const {
    return testing::nt_xent_rows(a, b, temperature, decoupled, positive_weights);
  }
  static constexpr auto forward = [](auto&&... in) { feaug::nt_xent(in...); };
  static constexpr auto backward = [](auto&&... in) { feaug::nt_xent_backward(in...); };
  static constexpr auto with_gradients = [](auto&&... in) {
    return feaug::nt_xent_with_gradients(in...);
  };
};

}  // namespace

TEMPLATE_TEST_CASE("nt_xent and its gradients are the formula's", "[nt_xent]", double, float,
                   feaug::half, feaug::bfloat16) {
  const auto [rows, cols] = GENERATE(table<index_t, index_t>({{1, 3}, {3, 1}, {5, 4}, {9, 6}}));
  const reduce reduction = GENERATE(reduce::mean, reduce::sum, reduce::none);
  const bool decoupled = GENERATE(false, true);
  CAPTURE(rows, cols, static_cast<int>(reduction), decoupled);
  if (decoupled && rows == 1) return;  // refused: tested below
  testing::check_against_formula<TestType>(nt_xent_loss{decoupled}, rows, cols, {0.25}, reduction);
}

TEMPLATE_TEST_CASE("nt_xent weighs its positives", "[nt_xent]", double, float, feaug::half) {
  const auto [rows, cols] = GENERATE(table<index_t, index_t>({{2, 3}, {5, 4}, {9, 6}}));
  const reduce reduction = GENERATE(reduce::mean, reduce::none);
  CAPTURE(rows, cols, static_cast<int>(reduction));
  // The views that check_against_formula makes.
  const testing::rows_of<double> a(test_matrix<TestType>::normal(rows, cols, 11, 3).values(), 0,
                                   rows, cols);
  const testing::rows_of<double> b(test_matrix<TestType>::normal(rows, cols, 12, 3).values(), 0,
                                   rows, cols);
  for (const double sigma : {0.5, 0.05}) {
    testing::check_against_formula<TestType>(
        nt_xent_loss{true, sigma, testing::pair_weights(a, b, sigma)}, rows, cols, {0.25},
        reduction);
  }
}

TEST_CASE("nt_xent's weights of positives", "[nt_xent]") {
  testing::check_thread_counts(nt_xent_loss{true, 0.5});
  testing::check_extreme_rows(nt_xent_loss{true, 0.5}, {1e-3F});
  testing::check_extreme_rows(nt_xent_loss{true, 1e-3}, {1e-3F});
  // Pairs that agree alike have weight 1.
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

TEST_CASE("nt_xent gives the same bits for any number of threads", "[nt_xent]") {
  testing::check_thread_counts(nt_xent_loss{});
}

TEST_CASE("nt_xent is finite for rows of any size", "[nt_xent]") {
  testing::check_extreme_rows(nt_xent_loss{}, {1e-3F});
  testing::check_extreme_rows(nt_xent_loss{.decoupled = true}, {1e-3F});
}

TEST_CASE("nt_xent is right where tiles and chunks meet", "[nt_xent]") {
  const auto a = test_matrix<double>::normal(150, 17, 1);
  const auto b = test_matrix<double>::normal(150, 17, 2);
  feaug::cpu_context ctx{.threads = 2};
  const auto losses =
      testing::nt_xent_rows(testing::rows_of<double>(a.values(), 0, 150, 17),
                            testing::rows_of<double>(b.values(), 0, 150, 17), 0.1, false);
  std::vector<double> got(300);
  feaug::nt_xent(ctx, a.view(), b.view(), {got.data(), 300},
                 {.temperature = 0.1, .reduction = reduce::none});
  CHECK(testing::relative_error(got, losses) < 1e-12);
}

TEST_CASE("nt_xent names what is wrong", "[nt_xent]") {
  const auto a = test_matrix<float>::normal(1, 3, 1);
  const auto b = test_matrix<float>::normal(1, 3, 2);
  feaug::cpu_context ctx{.threads = 1};
  using Catch::Matchers::Contains;
  CHECK(feaug::nt_xent(ctx, a.view(), b.view()) == 0.0F);
  CHECK_THROWS_WITH(feaug::nt_xent(ctx, a.view(), b.view(), {.decoupled = true}),
                    Contains("nt_xent: a: got 1 row, wanted at least 2"));
  CHECK_THROWS_WITH(feaug::nt_xent(ctx, a.view(), b.view(), {.reduction = reduce::none}),
                    Contains("nt_xent: reduction: got none"));
  test_matrix<float> d(1, 3);
  CHECK_THROWS_WITH(feaug::nt_xent_with_gradients(ctx, feaug::differentiable(a.view(), d.view()),
                                                  feaug::differentiable(b.view(), d.view())),
                    Contains("gradient of a: got memory that overlaps gradient of b"));
}

}  // namespace nt_xent_test
