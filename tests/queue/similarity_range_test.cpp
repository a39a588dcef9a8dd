// Searches that exclude rows by their cosine similarity.
#include "feaug/queue/similarity_range.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "feaug/cpu/queue/nearest.hpp"
#include "queue/nearest_reference.hpp"
#include "support/message_of.hpp"
#include "support/test_matrix.hpp"

namespace similarity_range_test {

using feaug::index_t;
using feaug::similarity_range;
using testing::message_of;
using testing::test_matrix;

namespace {

struct found {
  std::vector<index_t> indices;
  std::vector<double> similarities;
};

/// The k nearest rows within the range, for every query.
template <class T>
found search(const test_matrix<T>& support, const test_matrix<T>& queries, index_t k,
             const similarity_range& range, int threads = 1) {
  feaug::cpu_context ctx{.threads = threads};
  std::vector<index_t> indices(static_cast<std::size_t>(queries.rows() * k), -9);
  test_matrix<T> similarities(queries.rows(), k);
  feaug::nearest(
      ctx, support.view(), queries.view(),
      {.indices = {indices.data(), queries.rows(), k}, .similarities = similarities.view()},
      {.k = k, .similarity = range});
  return {indices, similarities.values()};
}

}  // namespace

TEMPLATE_TEST_CASE("rows outside the similarity range are excluded", "[queue]", double, float) {
  const index_t k = 6;
  const auto support = test_matrix<TestType>::normal(40, 5, 1, 2);
  const auto queries = test_matrix<TestType>::normal(11, 5, 2);
  testing::rows_in_double rows;
  for (index_t i = 0; i < 40; ++i) {
    rows.rows.emplace_back();
    for (index_t j = 0; j < 5; ++j) rows.rows.back().push_back(support.get(i, j));
  }
  for (const auto& range :
       {similarity_range{}, similarity_range{.floor = 0.4}, similarity_range{.ceiling = 0.6},
        similarity_range{.floor = -0.2, .ceiling = 0.1}}) {
    CAPTURE(range.floor, range.ceiling);
    const found got = search(support, queries, k, range);
    for (const int threads : {2, 3})
      CHECK(search(support, queries, k, range, threads).indices == got.indices);
    for (index_t i = 0; i < 11; ++i) {
      std::vector<double> query;
      for (index_t j = 0; j < 5; ++j) query.push_back(queries.get(i, j));
      const auto all = testing::nearest_reference(rows, query, 40);
      std::size_t rank = 0;
      for (std::size_t r = 0; r < 40 && rank < 6; ++r) {
        if (all.similarities[r] < range.floor || all.similarities[r] > range.ceiling) continue;
        const std::size_t at = static_cast<std::size_t>(i * k) + rank++;
        CHECK(got.indices[at] == all.indices[r]);
        CHECK(got.similarities[at] == Approx(all.similarities[r]).epsilon(1e-6));
      }
      for (; rank < 6; ++rank) {
        const std::size_t at = static_cast<std::size_t>(i * k) + rank;
        CHECK(got.indices[at] == -1);
        CHECK(std::isnan(got.similarities[at]));
      }
    }
  }
}

TEST_CASE("the range includes its bounds, and NaN is below any floor", "[queue]") {
  test_matrix<double> support(4, 2);
  support.set(0, 0, 1);
  support.set(1, 1, 1);
  support.set(2, 0, std::numeric_limits<double>::quiet_NaN());
  support.set(3, 0, -1);
  test_matrix<double> query(1, 2);
  query.set(0, 0, 4);
  const auto slots = [&](const similarity_range& range) {
    return search(support, query, 4, range).indices;
  };
  CHECK(slots({}) == std::vector<index_t>{0, 1, 3, 2});
  CHECK(slots({.floor = 0}) == std::vector<index_t>{0, 1, -1, -1});
  CHECK(slots({.floor = -1, .ceiling = 0}) == std::vector<index_t>{1, 3, -1, -1});
  CHECK(slots({.ceiling = -1}) == std::vector<index_t>{3, 2, -1, -1});
  CHECK(slots({.floor = 1.5}) == std::vector<index_t>(4, -1));
}

TEST_CASE("invalid ranges are rejected", "[queue][misuse]") {
  const auto rows = test_matrix<float>::normal(3, 2, 1);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(message_of([&] { search(rows, rows, 1, {.floor = nan}); }) ==
        "nearest: similarity.floor: got nan, wanted a number, or -infinity for none");
  CHECK(message_of([&] { search(rows, rows, 1, {.ceiling = nan}); }) ==
        "nearest: similarity.ceiling: got nan, wanted a number of at least similarity.floor, -inf");
  CHECK(message_of([&] { search(rows, rows, 1, {.floor = 0.5, .ceiling = 0.25}); }) ==
        "nearest: similarity.ceiling: got 0.25, wanted a number of at least similarity.floor, 0.5");
}

}  // namespace similarity_range_test
