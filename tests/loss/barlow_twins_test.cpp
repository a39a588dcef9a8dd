// barlow_twins against its formula, automatic differentiation and central differences; its moments
// in strips; and at the edges.
#include "feaug/cpu/loss/barlow_twins.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include "loss/batch_loss_test.hpp"

namespace barlow_twins_test {

using feaug::index_t;
using testing::test_matrix;

namespace {

struct barlow_twins_loss {
  static constexpr const char* name = "barlow_twins";
  using options = feaug::barlow_twins_options;

  template <class S>
  static std::vector<S> standardised(const testing::rows_of<S>& x, index_t j, double eps) {
    using std::sqrt;
    std::vector<S> column = testing::centred_column(x, j);
    const S deviation = sqrt(testing::dot(column, column) / static_cast<double>(x.size()) + eps);
    for (S& v : column) v = v / deviation;
    return column;
  }
  template <class S>
  static S formula(const testing::rows_of<S>& a, const testing::rows_of<S>& b, const options& how) {
    const auto cols = static_cast<index_t>(a[0].size());
    S sum = a[0][0] * 0.0;
    for (index_t j = 0; j < cols; ++j) {
      const std::vector<S> x = standardised(a, j, how.eps);
      for (index_t k = 0; k < cols; ++k) {
        const S c = testing::dot(x, standardised(b, k, how.eps)) / static_cast<double>(a.size());
        const S missing = c * -1.0 + 1.0;
        sum += j == k ? S(missing * missing) : S(c * c * how.lambda);
      }
    }
    return sum;
  }
  static constexpr auto forward = [](auto&&... in) { feaug::barlow_twins(in...); };
  static constexpr auto backward = [](auto&&... in) { feaug::barlow_twins_backward(in...); };
  template <class A, class B>
  static auto forward_number(feaug::cpu_context& ctx, const A& a, const B& b, const options& how) {
    return feaug::barlow_twins(ctx, a, b, how);
  }
  template <class T>
  static auto with_gradients(feaug::cpu_context& ctx, const feaug::operand<T>& a,
                             const feaug::operand<T>& b, const options& how) {
    return feaug::barlow_twins_with_gradients(ctx, a, b, how);
  }
  template <class T>
  static void with_gradients(feaug::cpu_context& ctx, const feaug::operand<T>& a,
                             const feaug::operand<T>& b, const feaug::vector_view<T>& loss,
                             const options& how) {
    feaug::barlow_twins_with_gradients(ctx, a, b, loss, how);
  }
};

}  // namespace

TEMPLATE_TEST_CASE("barlow_twins and its gradients are the formula's", "[barlow_twins]", double,
                   float) {
  testing::check_batch_loss<TestType>(barlow_twins_loss{}, 5, 4, {});
  testing::check_batch_loss<TestType>(barlow_twins_loss{}, 3, 1, {.lambda = 2});
  testing::check_batch_loss<TestType>(barlow_twins_loss{}, 7, 5, {.lambda = 0.5, .eps = 0.3});
  testing::check_batch_loss<TestType>(barlow_twins_loss{}, 4, 7, {.lambda = 0});
}

TEMPLATE_TEST_CASE("barlow_twins of 16-bit features", "[barlow_twins]", feaug::half,
                   feaug::bfloat16) {
  testing::check_batch_loss<TestType>(barlow_twins_loss{}, 5, 3, {.lambda = 0.2});
}

TEST_CASE("barlow_twins of two rows: signs alone", "[barlow_twins]") {
  // Standardised, two rows are ±1 (as eps is next to nothing), so C is ±1 throughout.
  const auto a = test_matrix<double>::normal(2, 3, 1);
  feaug::cpu_context ctx{.threads = 1};
  CHECK(feaug::barlow_twins(ctx, a.view(), a.view(), {.lambda = 0.5, .eps = 1e-14}) ==
        Approx(0.5 * 6));
}

TEST_CASE("barlow_twins gives the same bits for any number of threads", "[barlow_twins]") {
  testing::check_batch_threads(barlow_twins_loss{});
}

TEST_CASE("barlow_twins keeps its digits where means are large", "[barlow_twins]") {
  const auto a = test_matrix<double>::normal(40, 3, 1);
  const auto b = test_matrix<double>::normal(40, 3, 2);
  auto far = a;
  for (index_t i = 0; i < 40; ++i) {
    for (index_t j = 0; j < 3; ++j) far.set(i, j, a.get(i, j) + 1e8);
  }
  feaug::cpu_context ctx{.threads = 1};
  // What is left of a in `far` is exact to 1e-8.
  CHECK(feaug::barlow_twins(ctx, far.view(), b.view()) ==
        Approx(feaug::barlow_twins(ctx, a.view(), b.view())).epsilon(1e-7));
  auto large = a;
  for (index_t i = 0; i < 40; ++i) {
    for (index_t j = 0; j < 3; ++j) large.set(i, j, a.get(i, j) * 1e18);
  }
  CHECK(feaug::barlow_twins(ctx, large.view(), b.view(), {.eps = 1e-12}) ==
        Approx(feaug::barlow_twins(ctx, a.view(), b.view(), {.eps = 1e-12})).epsilon(1e-9));
}

TEST_CASE("barlow_twins of features that do not vary", "[barlow_twins]") {
  auto a = test_matrix<float>::normal(6, 3, 1);
  for (index_t i = 0; i < 6; ++i) a.set(i, 1, 0.25);
  feaug::cpu_context ctx{.threads = 1};
  test_matrix<float> d_a(6, 3);
  const float loss =
      feaug::barlow_twins_with_gradients(ctx, feaug::differentiable(a.view(), d_a.view()),
                                         feaug::stop_gradient(a.view()), {.lambda = 0});
  CHECK(loss == Approx(1).epsilon(1e-3));  // that feature's (1 − 0)²
  for (index_t i = 0; i < 6; ++i) CHECK(std::isfinite(d_a.get(i, 1)));
}

TEST_CASE("moments are the same in strips of any size", "[barlow_twins]") {
  const index_t rows = 9;
  const index_t cols = 21;
  const auto a = test_matrix<double>::normal(rows, cols, 1);
  const auto b = test_matrix<double>::normal(rows, cols, 2);
  feaug::cpu_context ctx{.threads = 2};
  std::vector<double> mean_a(cols);
  std::vector<double> mean_b(cols);
  std::vector<double> squares(cols);
  feaug::cpu::column_moments<double>(ctx, {.x = a.view()}, mean_a.data(), squares.data());
  feaug::cpu::column_moments<double>(ctx, {.x = b.view()}, mean_b.data(), squares.data());
  const feaug::scaled_columns<double> x = {.x = a.view(), .mean = mean_a.data()};
  const feaug::scaled_columns<double> y = {.x = b.view(), .mean = mean_b.data()};
  const auto moment = [&](index_t j, index_t k) {
    double sum = 0;
    for (index_t i = 0; i < rows; ++i) sum += x(i, j) * y(i, k);
    return 0.5 * sum;
  };
  for (const index_t elements : {1, 3 * 21, 8 * 21 + 5, 1000}) {
    CAPTURE(elements);
    test_matrix<double> sums(rows, cols, 1);
    std::vector<double> diagonal(cols, std::numeric_limits<double>::quiet_NaN());
    std::vector<double> off = diagonal;
    feaug::cpu::cross_moments_pass<double>(
        ctx, {.x = x, .y = y, .scale = 0.5, .strip_elements = elements},
        [&](index_t j, double on, double others) {
          diagonal[static_cast<std::size_t>(j)] = on;
          off[static_cast<std::size_t>(j)] = others;
        },
        feaug::differentiable(a.view(), sums.view()),
        [](index_t, index_t, double sum) { return sum; });
    for (index_t j = 0; j < cols; ++j) {
      double others = 0;
      for (index_t k = 0; k < cols; ++k) others += k == j ? 0 : moment(j, k) * moment(j, k);
      CHECK(diagonal[static_cast<std::size_t>(j)] == Approx(moment(j, j)).epsilon(1e-12));
      CHECK(off[static_cast<std::size_t>(j)] == Approx(others).epsilon(1e-12));
      double sum = 0;
      for (index_t k = 0; k < cols; ++k) sum += k == j ? 0 : moment(j, k) * y(4, k);
      CHECK(sums.get(4, j) == Approx(sum).epsilon(1e-11));
    }
    CHECK(sums.padding_intact());
  }
}

TEST_CASE("barlow_twins and numbers that are not", "[barlow_twins]") {
  testing::check_batch_not_finite(barlow_twins_loss{});
}

TEST_CASE("bad arguments of barlow_twins", "[barlow_twins][misuse]") {
  testing::check_batch_misuse(barlow_twins_loss{});
  const auto x = test_matrix<float>::normal(4, 3, 1);
  feaug::cpu_context ctx{.threads = 1};
  CHECK(testing::message_of([&] {
          feaug::barlow_twins(ctx, x.view(), x.view(),
                              {.lambda = std::numeric_limits<double>::quiet_NaN()});
        }) == "barlow_twins: lambda: got nan, wanted a finite number");
}

}  // namespace barlow_twins_test
