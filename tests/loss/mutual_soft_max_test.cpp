// Both soft-maxes from one product, against one product for each.
#include "feaug/cpu/mutual_soft_max.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include "feaug/loss/symmetric_info_nce.hpp"
#include "loss/reference.hpp"
#include "support/test_matrix.hpp"

using feaug::index_t;
using testing::test_matrix;

namespace {

/// Views of `size` rows, as symmetric_info_nce contrasts them.
template <class T>
struct two_views {
  test_matrix<T> a;
  test_matrix<T> b;
  feaug::cpu_context ctx;
  feaug::workspace norms = {};
  feaug::workspace::scope scratch{norms};

  two_views(const test_matrix<T>& first, const test_matrix<T>& second, int threads)
      : a(first), b(second), ctx{.threads = threads} {}

  feaug::cpu::contrast<T> problem(int side, double scale) {
    const auto rows = feaug::cpu::make_stack<T>(ctx, scratch, true, (side == 0 ? a : b).view());
    const auto columns = feaug::cpu::make_stack<T>(ctx, scratch, true, (side == 0 ? b : a).view());
    return {.rows = rows,
            .columns = columns,
            .positives = columns,
            .pairs = {.partners = a.rows()},
            .cols = a.cols(),
            .scale = scale};
  }
};

/// What a soft-max leaves of every row of both sides, row after row.
struct collected {
  std::vector<double> log_sums;
  std::vector<double> positives;
  std::vector<double> means;
  std::vector<int> times;

  explicit collected(index_t size)
      : log_sums(static_cast<std::size_t>(2 * size)),
        positives(log_sums.size()),
        means(log_sums.size()),
        times(log_sums.size()) {}
  void take(index_t at, const feaug::cpu::row_statistics& row) {
    const auto i = static_cast<std::size_t>(at);
    log_sums[i] = row.log_sum;
    positives[i] = row.positive_cosine;
    means[i] = row.mean_cosine;
    ++times[i];
  }
};

template <class T>
collected one_product(two_views<T>& views, double scale, bool with_mean, index_t most_bytes) {
  collected all(views.a.rows());
  feaug::cpu::mutual_soft_max_pass(
      views.ctx, views.problem(0, scale), with_mean,
      [&](int side, index_t i, const feaug::cpu::row_statistics& row) {
        all.take(side * views.a.rows() + i, row);
      },
      most_bytes);
  CHECK(all.times == std::vector<int>(all.times.size(), 1));
  return all;
}

template <class T>
collected two_products(two_views<T>& views, double scale) {
  collected all(views.a.rows());
  for (int side = 0; side < 2; ++side) {
    feaug::cpu::soft_max_pass(views.ctx, views.problem(side, scale), false, true,
                              [&](index_t i, const feaug::cpu::row_statistics& row, auto*) {
                                all.take(side * views.a.rows() + i, row);
                              });
  }
  return all;
}

}  // namespace

TEMPLATE_TEST_CASE("one product gives the soft-maxes that two give", "[mutual_soft_max]", double,
                   float, feaug::half, feaug::bfloat16) {
  // One row; less than a block; blocks and chunks that are full, and one row more.
  const auto [size, cols] =
      GENERATE(table<index_t, index_t>({{1, 3}, {7, 1}, {64, 5}, {256, 4}, {257, 4}, {600, 17}}));
  // One band; bands of a few blocks; of a single one.
  const index_t most_bytes = GENERATE(1 << 22, 1 << 14, 1);
  CAPTURE(size, cols, most_bytes);
  const auto a = test_matrix<TestType>::normal(size, cols, 1, 2);
  const auto b = test_matrix<TestType>::normal(size, cols, 2);
  two_views<TestType> views(a, b, 2);
  const collected want = two_products(views, 10.0);
  const collected got = one_product(views, 10.0, true, most_bytes);
  using C = feaug::compute_t<TestType>;
  const double allowed = 100 * static_cast<double>(std::numeric_limits<C>::epsilon());
  for (std::size_t i = 0; i < want.log_sums.size(); ++i) {
    if (size == 1) {
      CHECK(got.log_sums[i] == -std::numeric_limits<double>::infinity());
    } else {
      CHECK(got.log_sums[i] == Approx(want.log_sums[i]).margin(allowed));
    }
    CHECK(got.positives[i] == want.positives[i]);
    CHECK(got.means[i] == Approx(want.means[i]).margin(allowed));
  }
  CHECK(one_product(views, 10.0, false, most_bytes).log_sums == got.log_sums);
}

TEST_CASE("one product gives the same bits for any number of threads", "[mutual_soft_max]") {
  const auto a = test_matrix<float>::normal(500, 9, 1);
  const auto b = test_matrix<float>::normal(500, 9, 2);
  for (const index_t most_bytes : {1 << 22, 1 << 14}) {
    two_views<float> alone(a, b, 1);
    const collected want = one_product(alone, 10.0, true, most_bytes);
    for (const int threads : {2, 3}) {
      two_views<float> views(a, b, threads);
      const collected got = one_product(views, 10.0, true, most_bytes);
      CHECK(got.log_sums == want.log_sums);
      CHECK(got.means == want.means);
    }
  }
}

TEMPLATE_TEST_CASE("the largest scale without a shift keeps every term", "[mutual_soft_max]",
                   double, float) {
  using T = TestType;
  const double scale = std::is_same_v<T, float> ? 80.0 : 600.0;
  CHECK(feaug::cpu::needs_no_shift<T>(scale));
  CHECK(!feaug::cpu::needs_no_shift<T>(1.01 * scale));
  // Every cosine −1, and every cosine 1: the smallest and the largest terms there can be.
  for (const double direction : {-1.0, 1.0}) {
    test_matrix<T> a(300, 2);
    test_matrix<T> b(300, 2);
    a.fill(1.0);
    b.fill(direction);
    two_views<T> views(a, b, 1);
    for (const double log_sum : one_product(views, scale, false, 1 << 22).log_sums)
      CHECK(log_sum == Approx(direction * scale + std::log(299.0)).epsilon(1e-6));
  }
}

TEST_CASE("the loss does not jump where one product no longer does", "[mutual_soft_max]") {
  const auto a = test_matrix<float>::normal(120, 6, 1);
  const auto b = test_matrix<float>::normal(120, 6, 2);
  feaug::cpu_context ctx{.threads = 2};
  const auto rows = [&](const test_matrix<float>& m) {
    return testing::rows_of<double>(m.values(), 0, 120, 6);
  };
  for (const double tau : {0.01249, 0.01251}) {
    const auto want = testing::symmetric_info_nce_rows(rows(a), rows(b), tau);
    std::vector<float> got(120);
    feaug::symmetric_info_nce(ctx, a.view(), b.view(), {got.data(), 120},
                              {.temperature = tau, .reduction = feaug::reduce::none});
    for (std::size_t i = 0; i < want.size(); ++i)
      CHECK(static_cast<double>(got[i]) == Approx(want[i]).epsilon(2e-5).margin(1e-6));
  }
}

TEST_CASE("NaN reaches what reads it, through one product as well", "[mutual_soft_max]") {
  auto a = test_matrix<float>::normal(5, 3, 1);
  const auto b = test_matrix<float>::normal(5, 3, 2);
  a.set(2, 1, std::numeric_limits<double>::quiet_NaN());
  two_views<float> views(a, b, 1);
  const collected got = one_product(views, 10.0, true, 1 << 22);
  for (std::size_t i = 0; i < 5; ++i) {
    CHECK(std::isnan(got.log_sums[i]) == (i == 2));  // rows of a: only itself
    // Rows of b read all of a but their own positive, which is left out of the sum.
    CHECK((std::isnan(got.log_sums[5 + i]) || std::isnan(got.positives[5 + i])));
  }
}
