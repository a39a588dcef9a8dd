// vicreg against its formula, automatic differentiation and central differences; and at the edges.
#include "feaug/cpu/loss/vicreg.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include "loss/batch_loss_test.hpp"

namespace vicreg_test {

using feaug::index_t;
using testing::test_matrix;

namespace {

struct vicreg_loss {
  static constexpr const char* name = "vicreg";
  using options = feaug::vicreg_options;

  /// The terms of one view: (its share of the variance term, of the covariance term).
  template <class S>
  static S view_terms(const testing::rows_of<S>& x, const options& how) {
    using std::sqrt;
    const auto cols = static_cast<index_t>(x[0].size());
    const double unbiased = static_cast<double>(x.size() - 1);
    const double all = static_cast<double>(cols);
    S sum = x[0][0] * 0.0;
    for (index_t j = 0; j < cols; ++j) {
      const std::vector<S> own = testing::centred_column(x, j);
      const S deviation = sqrt(testing::dot(own, own) / unbiased + how.eps);
      if (deviation < S(1.0)) sum += (deviation * -1.0 + 1.0) * (0.5 * how.variance / all);
      for (index_t k = 0; k < cols; ++k) {
        if (k == j) continue;
        const S c = testing::dot(own, testing::centred_column(x, k)) / unbiased;
        sum += c * c * (how.covariance / all);
      }
    }
    return sum;
  }
  template <class S>
  static S formula(const testing::rows_of<S>& a, const testing::rows_of<S>& b, const options& how) {
    S sum = view_terms(a, how) + view_terms(b, how);
    const double count = static_cast<double>(a.size()) * static_cast<double>(a[0].size());
    for (index_t i = 0; i < a.size(); ++i) {
      for (std::size_t j = 0; j < a[0].size(); ++j) {
        const S difference = a[i][j] - b[i][j];
        sum += difference * difference * (how.invariance / count);
      }
    }
    return sum;
  }
  static constexpr auto forward = [](auto&&... in) { feaug::vicreg(in...); };
  static constexpr auto backward = [](auto&&... in) { feaug::vicreg_backward(in...); };
  template <class A, class B>
  static auto forward_number(feaug::cpu_context& ctx, const A& a, const B& b, const options& how) {
    return feaug::vicreg(ctx, a, b, how);
  }
  template <class T>
  static auto with_gradients(feaug::cpu_context& ctx, const feaug::operand<T>& a,
                             const feaug::operand<T>& b, const options& how) {
    return feaug::vicreg_with_gradients(ctx, a, b, how);
  }
  template <class T>
  static void with_gradients(feaug::cpu_context& ctx, const feaug::operand<T>& a,
                             const feaug::operand<T>& b, const feaug::vector_view<T>& loss,
                             const options& how) {
    feaug::vicreg_with_gradients(ctx, a, b, loss, how);
  }
};

}  // namespace

TEMPLATE_TEST_CASE("vicreg and its gradients are the formula's", "[vicreg]", double, float) {
  testing::check_batch_loss<TestType>(vicreg_loss{}, 5, 4, {});
  testing::check_batch_loss<TestType>(vicreg_loss{}, 3, 1, {});
  testing::check_batch_loss<TestType>(vicreg_loss{}, 2, 5, {.eps = 0.25});
  // Each term alone.
  testing::check_batch_loss<TestType>(vicreg_loss{}, 6, 3, {.variance = 0, .covariance = 0});
  testing::check_batch_loss<TestType>(vicreg_loss{}, 6, 3, {.invariance = 0, .covariance = 0});
  testing::check_batch_loss<TestType>(vicreg_loss{}, 6, 3, {.invariance = 0, .variance = 0});
}

TEMPLATE_TEST_CASE("vicreg of 16-bit features", "[vicreg]", feaug::half, feaug::bfloat16) {
  testing::check_batch_loss<TestType>(vicreg_loss{}, 5, 3, {});
}

TEST_CASE("vicreg gives the same bits for any number of threads", "[vicreg]") {
  testing::check_batch_threads(vicreg_loss{});
}

TEST_CASE("vicreg of views that collapsed, and of views that spread", "[vicreg]") {
  feaug::cpu_context ctx{.threads = 1};
  test_matrix<double> same(5, 2);
  same.fill(3);
  test_matrix<double> d_a(5, 2);
  // Deviations are √eps = 0.01, in both views; the gradient of a variance at 0 is 0.
  CHECK(feaug::vicreg_with_gradients(ctx, feaug::differentiable(same.view(), d_a.view()),
                                     feaug::stop_gradient(same.view())) == Approx(25 * 0.99));
  CHECK(d_a.values() == std::vector<double>(10, 0.0));
  // Orthogonal columns of deviation above 1: nothing to pay.
  test_matrix<double> spread(4, 2);
  for (index_t i = 0; i < 4; ++i) {
    spread.set(i, 0, i < 2 ? 2 : -2);
    spread.set(i, 1, i % 2 == 0 ? 3 : -3);
  }
  test_matrix<double> d_b(4, 2);
  CHECK(feaug::vicreg_with_gradients(ctx, feaug::differentiable(spread.view(), d_b.view()),
                                     feaug::stop_gradient(spread.view())) == 0);
  CHECK(d_b.values() == std::vector<double>(8, 0.0));
  // Far from the origin nothing changes but the last digits.
  auto a = test_matrix<double>::normal(30, 3, 1);
  const double near = feaug::vicreg(ctx, a.view(), a.view());
  for (index_t i = 0; i < 30; ++i) {
    for (index_t j = 0; j < 3; ++j) a.set(i, j, a.get(i, j) + 1e8);
  }
  CHECK(feaug::vicreg(ctx, a.view(), a.view()) == Approx(near).epsilon(1e-6));
}

TEST_CASE("vicreg and numbers that are not", "[vicreg]") {
  testing::check_batch_not_finite(vicreg_loss{});
}

TEST_CASE("bad arguments of vicreg", "[vicreg][misuse]") {
  testing::check_batch_misuse(vicreg_loss{});
  const auto x = test_matrix<float>::normal(4, 3, 1);
  feaug::cpu_context ctx{.threads = 1};
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto says = [&](const feaug::vicreg_options& options) {
    return testing::message_of([&] { feaug::vicreg(ctx, x.view(), x.view(), options); });
  };
  CHECK(says({.invariance = nan}) == "vicreg: invariance: got nan, wanted a finite number");
  CHECK(says({.variance = nan}) == "vicreg: variance: got nan, wanted a finite number");
  CHECK(says({.covariance = nan}) == "vicreg: covariance: got nan, wanted a finite number");
}

}  // namespace vicreg_test
