// Tests of the diagnostics: comparison with their formulas in plain double loops, edge cases, bad
// arguments.
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "feaug/cpu/diagnostics/alignment.hpp"
#include "feaug/cpu/diagnostics/effective_rank.hpp"
#include "feaug/cpu/diagnostics/feature_deviation.hpp"
#include "feaug/cpu/diagnostics/neighbour_share.hpp"
#include "feaug/cpu/diagnostics/uniformity.hpp"
#include "support/message_of.hpp"
#include "support/test_matrix.hpp"

namespace diagnostics_test {

using feaug::index_t;
using testing::message_of;
using testing::test_matrix;

namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

/// x_i / max(‖x_i‖, 1e-12).
template <class T>
std::vector<double> unit_row(const test_matrix<T>& x, index_t i) {
  double square = 0;
  for (index_t j = 0; j < x.cols(); ++j) square += x.get(i, j) * x.get(i, j);
  std::vector<double> row;
  for (index_t j = 0; j < x.cols(); ++j)
    row.push_back(x.get(i, j) / std::max(std::sqrt(square), 1e-12));
  return row;
}

double squared_distance(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t j = 0; j < a.size(); ++j) sum += (a[j] - b[j]) * (a[j] - b[j]);
  return sum;
}

template <class T>
double uniformity_by_hand(const test_matrix<T>& x, double t) {
  double sum = 0;
  double pairs = 0;
  for (index_t i = 0; i < x.rows(); ++i) {
    for (index_t j = i + 1; j < x.rows(); ++j) {
      sum += std::exp(-t * squared_distance(unit_row(x, i), unit_row(x, j)));
      ++pairs;
    }
  }
  return std::log(sum / pairs);
}

/// Allowed relative error of sums in T's compute type.
template <class T>
constexpr double allowed = std::is_same_v<T, double> ? 1e-12 : 2e-6;

}  // namespace

TEMPLATE_TEST_CASE("alignment matches its formula", "[diagnostics]", double, float, feaug::half,
                   feaug::bfloat16) {
  feaug::cpu_context ctx{.threads = 2};
  for (const auto& [rows, cols] : {std::pair<index_t, index_t>{1, 1}, {1, 5}, {7, 3}, {300, 200}}) {
    auto a = test_matrix<TestType>::normal(rows, cols, 1, 2);
    const auto b = test_matrix<TestType>::normal(rows, cols, 2);
    if (rows > 2) a.fill_row(2, 0);
    for (const double alpha : {2.0, 1.0, 3.5}) {
      double want = 0;
      for (index_t i = 0; i < rows; ++i)
        want += std::pow(squared_distance(unit_row(a, i), unit_row(b, i)), alpha / 2);
      CHECK(feaug::alignment(ctx, a.view(), b.view(), {.alpha = alpha}) ==
            Approx(want / static_cast<double>(rows)).epsilon(1e-12));
    }
  }
}

TEST_CASE("alignment of equal, opposite and nearly equal views", "[diagnostics]") {
  feaug::cpu_context ctx{.threads = 1};
  const auto a = test_matrix<double>::normal(5, 4, 1);
  auto b = a;
  CHECK(feaug::alignment(ctx, a.view(), a.view()) == 0);
  for (index_t i = 0; i < 5; ++i) {
    for (index_t j = 0; j < 4; ++j) b.set(i, j, -1e18 * a.get(i, j));
  }
  CHECK(feaug::alignment(ctx, a.view(), b.view()) == Approx(4));
  // The formula 2 − 2·cos would round this to 0.
  test_matrix<double> x(1, 2);
  test_matrix<double> y(1, 2);
  x.set(0, 0, 1);
  y.set(0, 0, 1);
  y.set(0, 1, 1e-9);
  CHECK(feaug::alignment(ctx, x.view(), y.view()) == Approx(1e-18).epsilon(1e-6));
  b.set(3, 1, not_a_number);
  CHECK(std::isnan(feaug::alignment(ctx, a.view(), b.view())));
}

TEMPLATE_TEST_CASE("uniformity matches its formula", "[diagnostics]", double, float, feaug::half,
                   feaug::bfloat16) {
  feaug::cpu_context ctx{.threads = 2};
  for (const auto& [rows, cols] : {std::pair<index_t, index_t>{2, 1}, {2, 5}, {7, 3}, {270, 19}}) {
    const auto x = test_matrix<TestType>::normal(rows, cols, 3, 1);
    for (const double t : {2.0, 0.25, 40.0}) {
      CAPTURE(rows, cols, t);
      CHECK(feaug::uniformity(ctx, x.view(), {.t = t}) == Approx(uniformity_by_hand(x, t))
                                                              .epsilon(allowed<TestType>)
                                                              .margin(40 * allowed<TestType>));
    }
  }
}

TEST_CASE("edge cases of uniformity", "[diagnostics]") {
  feaug::cpu_context ctx{.threads = 1};
  test_matrix<float> same(4, 3);
  same.fill(0.5);
  CHECK(feaug::uniformity(ctx, same.view()) == Approx(0).margin(1e-6));
  // Orthogonal rows of any norm give −2t. A zero row is orthogonal to all rows.
  test_matrix<float> across(3, 3);
  across.set(0, 0, 1e18);
  across.set(1, 1, 1e-6);
  CHECK(feaug::uniformity(ctx, across.view()) == Approx(-4).epsilon(1e-6));
  // Opposite rows give −4t, without underflow.
  test_matrix<float> opposite(2, 1);
  opposite.set(0, 0, 1);
  opposite.set(1, 0, -1);
  CHECK(feaug::uniformity(ctx, opposite.view(), {.t = 1000}) == Approx(-4000).epsilon(1e-6));
  across.set(2, 1, not_a_number);
  CHECK(std::isnan(feaug::uniformity(ctx, across.view())));
}

TEMPLATE_TEST_CASE("feature_deviation matches its formula", "[diagnostics]", double, float,
                   feaug::half, feaug::bfloat16) {
  feaug::cpu_context ctx{.threads = 2};
  for (const auto& [rows, cols] : {std::pair<index_t, index_t>{2, 1}, {3, 5}, {60, 70}}) {
    const auto x = test_matrix<TestType>::normal(rows, cols, 5, 1);
    std::vector<double> got(static_cast<std::size_t>(cols));
    double number = not_a_number;
    feaug::feature_deviation(ctx, x.view(), feaug::scalar(number), {got.data(), cols});
    double mean_deviation = 0;
    for (index_t j = 0; j < cols; ++j) {
      const auto at = static_cast<std::size_t>(j);
      double mean = 0;
      double square = 0;
      for (index_t i = 0; i < rows; ++i) mean += unit_row(x, i)[at] / static_cast<double>(rows);
      for (index_t i = 0; i < rows; ++i) square += std::pow(unit_row(x, i)[at] - mean, 2);
      const double want = std::sqrt(square / static_cast<double>(rows - 1));
      CHECK(got[at] == Approx(want).epsilon(1e-12));
      mean_deviation += want / static_cast<double>(cols);
    }
    CHECK(number == Approx(mean_deviation * std::sqrt(static_cast<double>(cols))).epsilon(1e-12));
    CHECK(feaug::feature_deviation(ctx, x.view()) == number);
  }
}

TEST_CASE("feature_deviation of collapsed and of spread features", "[diagnostics]") {
  feaug::cpu_context ctx{.threads = 1};
  auto x = test_matrix<float>::normal(2000, 8, 1);
  CHECK(feaug::feature_deviation(ctx, x.view()) == Approx(1).epsilon(0.02));
  for (index_t i = 1; i < 2000; ++i) {
    for (index_t j = 0; j < 8; ++j) x.set(i, j, static_cast<double>(i) * x.get(0, j));
  }
  CHECK(feaug::feature_deviation(ctx, x.view()) == Approx(0).margin(1e-6));
  x.set(1500, 3, not_a_number);
  CHECK(std::isnan(feaug::feature_deviation(ctx, x.view())));
}

TEST_CASE("effective_rank of matrices whose singular values are known", "[diagnostics]") {
  feaug::cpu_context ctx{.threads = 2};
  // Singular values with ratio 3 : 2 : 1 along the axes, in a tall and in a wide matrix.
  const double entropy = -(0.5 * std::log(0.5) + std::log(1.0 / 3) / 3 + std::log(1.0 / 6) / 6);
  test_matrix<double> tall(5, 3, 2);
  test_matrix<double> wide(3, 7);
  for (index_t k = 0; k < 3; ++k) {
    tall.set(4 - k, k, static_cast<double>(k + 1));
    wide.set(k, 2 * k, -1e-9 * static_cast<double>(k + 1));
  }
  CHECK(feaug::effective_rank(ctx, tall.view()) == Approx(std::exp(entropy)).epsilon(1e-9));
  CHECK(feaug::effective_rank(ctx, wide.view()) == Approx(std::exp(entropy)).epsilon(1e-9));
  // Rank 1 gives exactly 1, in spite of rounding errors.
  test_matrix<float> one(200, 150);
  const auto direction = test_matrix<float>::normal(1, 150, 1);
  for (index_t i = 0; i < 200; ++i) {
    for (index_t j = 0; j < 150; ++j)
      one.set(i, j, static_cast<double>(i % 8) * direction.get(0, j));
  }
  CHECK(feaug::effective_rank(ctx, one.view()) == Approx(1).epsilon(1e-9));
  // Equal singular values: a rotation of the identity has rank D.
  test_matrix<double> rotation(2, 2);
  rotation.set(0, 0, 0.6);
  rotation.set(0, 1, 0.8);
  rotation.set(1, 0, -0.8);
  rotation.set(1, 1, 0.6);
  CHECK(feaug::effective_rank(ctx, rotation.view()) == Approx(2).epsilon(1e-12));
  // Random features have a rank a little below D; the transpose has the same.
  const auto x = test_matrix<double>::normal(400, 70, 2);
  test_matrix<double> transposed(70, 400);
  for (index_t i = 0; i < 400; ++i) {
    for (index_t j = 0; j < 70; ++j) transposed.set(j, i, x.get(i, j));
  }
  const double rank = feaug::effective_rank(ctx, x.view());
  CHECK((rank > 65 && rank < 70));
  CHECK(feaug::effective_rank(ctx, transposed.view()) == Approx(rank).epsilon(1e-10));
}

TEST_CASE("effective_rank does not depend on the scale", "[diagnostics]") {
  feaug::cpu_context ctx;
  const std::vector<double> rows = {1, 0.5, -0.25, 0.125, 2, 1, 0.75, -1, 0.5, 3, 0, 0.25};
  const double rank =
      feaug::effective_rank(ctx, feaug::matrix_view<const double>(rows.data(), 4, 3));
  CHECK(rank > 2);
  for (const double scale : {1e-310, 1e-300, 1e-160, 1e160, 1e300}) {
    CAPTURE(scale);
    std::vector<double> scaled = rows;
    for (double& x : scaled) x *= scale;
    const double got =
        feaug::effective_rank(ctx, feaug::matrix_view<const double>(scaled.data(), 4, 3));
    CHECK(std::abs(got - rank) < 1e-12);
  }
}

TEST_CASE("edge cases of effective_rank", "[diagnostics]") {
  feaug::cpu_context ctx{.threads = 1};
  test_matrix<float> x(4, 3);
  CHECK(feaug::effective_rank(ctx, x.view()) == 0);
  x.set(1, 1, -7);
  CHECK(feaug::effective_rank(ctx, x.view()) == 1);
  CHECK(feaug::effective_rank(ctx, x.view().rows_from(1, 1)) == 1);
  x.set(2, 2, std::numeric_limits<double>::infinity());
  CHECK(std::isnan(feaug::effective_rank(ctx, x.view())));
  x.set(2, 2, not_a_number);
  CHECK(std::isnan(feaug::effective_rank(ctx, x.view())));
  const auto half = test_matrix<feaug::half>::normal(9, 4, 1);
  test_matrix<double> wide(9, 4);
  for (index_t i = 0; i < 9; ++i) {
    for (index_t j = 0; j < 4; ++j) wide.set(i, j, half.get(i, j));
  }
  CHECK(feaug::effective_rank(ctx, half.view()) == feaug::effective_rank(ctx, wide.view()));
}

TEST_CASE("diagnostics give the same bits for any number of threads", "[diagnostics]") {
  const auto a = test_matrix<float>::normal(400, 130, 1);
  const auto b = test_matrix<float>::normal(400, 130, 2);
  std::vector<double> first;
  for (const int threads : {1, 2, 3}) {
    feaug::cpu_context ctx{.threads = threads};
    const std::vector<double> all = {
        feaug::alignment(ctx, a.view(), b.view()), feaug::uniformity(ctx, a.view()),
        feaug::feature_deviation(ctx, a.view()), feaug::effective_rank(ctx, a.view())};
    if (threads == 1) first = all;
    CHECK(all == first);
  }
}

TEST_CASE("neighbour_accuracy and same_sample_share ignore missing neighbours", "[diagnostics]") {
  feaug::cpu_context ctx{.threads = 1};
  std::vector<index_t> indices = {0, 3, -1, 2, 2, 1};
  const std::vector<index_t> queue = {7, 8, 7, 9};
  const std::vector<index_t> queries = {7, 7, 8};
  const feaug::vector_view<const index_t> of_queue(queue.data(), 4);
  const feaug::vector_view<const index_t> of_queries(queries.data(), 3);
  const feaug::matrix_view<const index_t> two_each(indices.data(), 3, 2);
  // Query 0: 7 matches, 9 does not. Query 1: one is missing, 7 matches. Query 2: 7 does not match,
  // 8 matches.
  CHECK(feaug::neighbour_accuracy(ctx, two_each, of_queue, of_queries) == Approx(3.0 / 5));
  CHECK(feaug::same_sample_share(ctx, two_each, of_queue, of_queries) == Approx(3.0 / 5));
  const std::vector<index_t> none(6, -1);
  CHECK(std::isnan(feaug::neighbour_accuracy(
      ctx, feaug::matrix_view<const index_t>(none.data(), 3, 2), of_queue, of_queries)));
  double to = 5;
  for (const index_t bad : {index_t{4}, index_t{-2}}) {
    indices[3] = bad;
    CHECK(message_of([&] {
            feaug::same_sample_share(ctx, two_each, of_queue, of_queries, feaug::scalar(to));
          }) == "same_sample_share: indices: got " + std::to_string(bad) +
                    " for query 1, wanted −1 or a row of the queue's 4");
    CHECK(to == 5);
  }
  CHECK(message_of([&] { feaug::neighbour_accuracy(ctx, two_each, of_queue, of_queue); }) ==
        "neighbour_accuracy: labels: got 4 elements, wanted 3 (one a query)");
  CHECK(message_of([&] {
          feaug::neighbour_accuracy(ctx, feaug::matrix_view<const index_t>(indices.data(), 0, 2),
                                    of_queue, of_queries);
        }) ==
        "neighbour_accuracy: indices: got shape (0, 2), wanted at least one row and one column");
  CHECK(message_of([&] {
          feaug::same_sample_share(ctx, two_each, feaug::vector_view<const index_t>(nullptr, 4),
                                   of_queries);
        }) ==
        "same_sample_share: queue_ids: got a null pointer with shape (4), wanted a pointer to its "
        "elements");
}

TEST_CASE("bad arguments of diagnostics", "[diagnostics][misuse]") {
  feaug::cpu_context ctx{.threads = 1};
  const auto x = test_matrix<float>::normal(4, 3, 1);
  const auto one = x.view().rows_from(0, 1);
  const auto none = x.view().rows_from(0, 0);
  double to[2] = {5, 5};
  const feaug::vector_view<double> pair(to, 2);
  CHECK(message_of([&] { feaug::alignment(ctx, x.view(), one); }) ==
        "alignment: b: got shape (1, 3), wanted shape (4, 3) as a");
  CHECK(message_of([&] { feaug::alignment(ctx, none, none); }) ==
        "alignment: a: got shape (0, 3), wanted at least one row and one column");
  CHECK(message_of([&] { feaug::alignment(ctx, x.view(), x.view(), {.alpha = 0}); }) ==
        "alignment: alpha: got 0, wanted a finite number above 0");
  CHECK(message_of([&] { feaug::alignment(ctx, x.view(), x.view(), pair); }) ==
        "alignment: to: got 2 elements, wanted 1 (one number)");
  CHECK(message_of([&] { feaug::uniformity(ctx, one); }) ==
        "uniformity: x: got 1 row, wanted at least 2");
  CHECK(message_of([&] { feaug::uniformity(ctx, x.view(), {.t = not_a_number}); }) ==
        "uniformity: t: got nan, wanted a finite number above 0");
  CHECK(message_of([&] { feaug::uniformity(ctx, x.view(), pair); }) ==
        "uniformity: to: got 2 elements, wanted 1 (one number)");
  CHECK(message_of([&] { feaug::feature_deviation(ctx, one); }) ==
        "feature_deviation: x: got 1 row, wanted at least 2");
  CHECK(message_of([&] { feaug::feature_deviation(ctx, x.view(), feaug::scalar(to[0]), pair); }) ==
        "feature_deviation: deviations: got 2 elements, wanted 3 (one a feature)");
  CHECK(message_of([&] { feaug::effective_rank(ctx, none); }) ==
        "effective_rank: x: got shape (0, 3), wanted at least one row and one column");
  CHECK(message_of([&] { feaug::effective_rank(ctx, x.view(), pair); }) ==
        "effective_rank: to: got 2 elements, wanted 1 (one number)");
  CHECK((to[0] == 5 && to[1] == 5));
}

}  // namespace diagnostics_test
