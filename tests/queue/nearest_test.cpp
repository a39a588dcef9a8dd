#include "feaug/cpu/queue/nearest.hpp"

#include <bit>
#include <catch2/catch.hpp>
#include <cstdint>
#include <optional>
#include <vector>

#include "feaug/cpu/queue/support_queue.hpp"
#include "nearest_reference.hpp"
#include "support/message_of.hpp"
#include "support/test_matrix.hpp"

namespace nearest_test {

using feaug::bfloat16;
using feaug::half;
using feaug::index_t;
using testing::message_of;
using testing::test_matrix;

namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

// Equal bits, or both NaN.
bool same(double a, double b) {
  return std::isnan(a) ? std::isnan(b)
                       : std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b);
}

template <class T>
std::vector<double> row_of(const test_matrix<T>& m, index_t i) {
  std::vector<double> row;
  for (index_t j = 0; j < m.cols(); ++j) row.push_back(m.get(i, j));
  return row;
}

template <class T>
testing::rows_in_double rows_of(const test_matrix<T>& m) {
  testing::rows_in_double all;
  for (index_t i = 0; i < m.rows(); ++i) all.rows.push_back(row_of(m, i));
  return all;
}

/// x rounded to T.
template <class T>
double rounded(double x) {
  return static_cast<double>(feaug::load(feaug::store<T>(static_cast<feaug::compute_t<T>>(x))));
}

/// A queue with its own memory. `size` is the number of filled slots.
template <class T>
struct owned_queue {
  test_matrix<T> storage;
  index_t cursor = 0;
  index_t size = 0;
  bool normalize = true;
  std::vector<std::int64_t> ids = {};

  feaug::support_queue<T> view() {
    return {.storage = storage.view(),
            .cursor = &cursor,
            .size = &size,
            .normalize = normalize,
            .ids = {ids.data(), static_cast<index_t>(ids.size())}};
  }
};

template <class T>
struct found_neighbours {
  std::vector<index_t> indices;
  test_matrix<T> similarities;
  test_matrix<T> values;

  found_neighbours(index_t rows, index_t k, index_t cols)
      : indices(static_cast<std::size_t>(rows * k), -2),
        similarities(rows, k, 1),
        values(rows * k, cols, 2) {}
  feaug::nearest_outputs<T> outputs() {
    return {.indices = {indices.data(), similarities.rows(), similarities.cols()},
            .similarities = similarities.view(),
            .values = values.view()};
  }
};

template <class T, class Support>
found_neighbours<T> search(const Support& support, const test_matrix<T>& queries, index_t k,
                           int threads = 1, const std::vector<std::int64_t>& exclude = {}) {
  feaug::cpu_context ctx{.threads = threads};
  found_neighbours<T> found(queries.rows(), k, queries.cols());
  feaug::nearest(ctx, support, queries.view(), found.outputs(),
                 {.k = k, .exclude_ids = {exclude.data(), static_cast<index_t>(exclude.size())}});
  REQUIRE(found.similarities.padding_intact());
  REQUIRE(found.values.padding_intact());
  return found;
}

/// Requires that every index, similarity and value has the same bits as the reference's.
template <class T>
void require_exact(const found_neighbours<T>& got, const testing::rows_in_double& support,
                   const test_matrix<T>& queries, index_t k,
                   const std::vector<std::int64_t>& exclude = {}) {
  for (index_t i = 0; i < queries.rows(); ++i) {
    const auto* id = exclude.empty() ? nullptr : &exclude[static_cast<std::size_t>(i)];
    const auto want = testing::nearest_reference(support, row_of(queries, i), k, id);
    for (index_t rank = 0; rank < k; ++rank) {
      CAPTURE(i, rank);
      const index_t index = want.indices[static_cast<std::size_t>(rank)];
      REQUIRE(got.indices[static_cast<std::size_t>(i * k + rank)] == index);
      REQUIRE(same(got.similarities.get(i, rank),
                   rounded<T>(want.similarities[static_cast<std::size_t>(rank)])));
      for (index_t j = 0; j < queries.cols(); ++j) {
        const double value =
            index < 0 ? not_a_number
                      : support.rows[static_cast<std::size_t>(index)][static_cast<std::size_t>(j)];
        REQUIRE(same(got.values.get(i * k + rank, j), value));
      }
    }
  }
}

}  // namespace

TEMPLATE_TEST_CASE("nearest is exact in a matrix with rows of any norm", "[nearest]", float, double,
                   half, bfloat16) {
  struct shape {
    index_t queries, rows, cols;
  };
  // All sizes 1; odd sizes; a full group of 16 queries, and one query more; more than a tile of 256
  // rows; more than a chunk of 512 features.
  const auto [n, m, d] = GENERATE(shape{1, 1, 1}, shape{5, 7, 3}, shape{16, 40, 8},
                                  shape{17, 300, 33}, shape{3, 258, 700}, shape{33, 513, 1});
  const auto queries = test_matrix<TestType>::normal(n, d, 1, 3);
  const auto support = test_matrix<TestType>::normal(m, d, 2, 5);
  for (index_t k : {1, 2, 5, 32, 256, 1000000}) {
    k = std::min(k, m);
    CAPTURE(n, m, d, k);
    require_exact(search(support.view(), queries, k), rows_of(support), queries, k);
  }
}

TEMPLATE_TEST_CASE("nearest is exact in a queue", "[nearest]", float, double, half, bfloat16) {
  const bool normalize = GENERATE(true, false);
  const index_t rows = GENERATE(4, 30, 45);  // partly filled, full, wrapped
  const index_t capacity = 30;
  const index_t cols = 9;
  owned_queue<TestType> queue{.storage = test_matrix<TestType>(capacity, cols, 2),
                              .normalize = normalize};
  queue.storage.fill(not_a_number);  // an unfilled slot must not be read
  feaug::cpu_context ctx{.threads = 1};
  feaug::enqueue(ctx, queue.view(), test_matrix<TestType>::normal(rows, cols, 3).view());
  const auto queries = test_matrix<TestType>::normal(20, cols, 4);
  auto filled = rows_of(queue.storage);
  filled.rows.resize(static_cast<std::size_t>(queue.size));
  filled.unit = normalize;
  for (index_t k = 1; k <= std::min<index_t>(32, queue.size); ++k) {
    CAPTURE(k);
    require_exact(search(queue.view(), queries, k), filled, queries, k);
  }
}

TEST_CASE("nearest keeps many candidates", "[nearest]") {
  // With k above 1024 fewer queries share a pass.
  const auto queries = test_matrix<float>::normal(20, 4, 5);
  const auto support = test_matrix<float>::normal(2100, 4, 6);
  require_exact(search(support.view(), queries, 2000), rows_of(support), queries, 2000);
}

TEMPLATE_TEST_CASE("rows with equal scores are ordered by slot", "[nearest]", float, double, half,
                   bfloat16) {
  const index_t m = 300;
  const index_t d = 6;
  const auto queries = test_matrix<TestType>::normal(4, d, 7);
  auto support = test_matrix<TestType>::normal(m, d, 8);
  SECTION("all rows are the same") {
    for (index_t i = 0; i < m; ++i) {
      for (index_t j = 0; j < d; ++j) support.set(i, j, support.get(0, j));
    }
    const auto found = search(support.view(), queries, 20);
    for (index_t i = 0; i < 4; ++i) {
      for (index_t rank = 0; rank < 20; ++rank)
        REQUIRE(found.indices[static_cast<std::size_t>(i * 20 + rank)] == rank);
    }
  }
  SECTION("every row occurs three times, scaled by powers of two") {
    for (index_t i = 0; i < m; ++i) {
      for (index_t j = 0; j < d; ++j)
        support.set(i, j, support.get(i % 100, j) * (i < 100 ? 1 : i < 200 ? 4 : 0.5));
    }
  }
  require_exact(search(support.view(), queries, m), rows_of(support), queries, m);
}

TEMPLATE_TEST_CASE("rows that differ by one ulp are ranked exactly", "[nearest]", float, double,
                   half, bfloat16) {
  const index_t m = 64;
  const index_t d = 5;
  owned_queue<TestType> queue{
      .storage = test_matrix<TestType>(m, d), .size = m, .normalize = GENERATE(true, false)};
  const double ulp = std::is_same_v<TestType, double>  ? 0x1p-53
                     : std::is_same_v<TestType, float> ? 0x1p-24
                     : std::is_same_v<TestType, half>  ? 0x1p-11
                                                       : 0x1p-8;
  for (index_t i = 0; i < m; ++i) {
    // These are not unit rows, but a queue that normalizes treats its rows as unit rows.
    for (index_t j = 0; j < d; ++j) queue.storage.set(i, j, 0.5);
    queue.storage.set(i, i % d, 0.5 + ulp * static_cast<double>((i * 7) % 4));
  }
  const auto queries = test_matrix<TestType>::normal(9, d, 9);
  auto rows = rows_of(queue.storage);
  rows.unit = queue.normalize;
  require_exact(search(queue.view(), queries, m), rows, queries, m);
}

TEST_CASE("rows of a normalizing queue are not divided by their norms", "[nearest]") {
  // Both rows are unit rows up to rounding; the first is slightly shorter. Division by the norms
  // would make the scores equal.
  owned_queue<float> queue{.storage = test_matrix<float>(2, 2), .size = 2};
  queue.storage.set(0, 0, std::nextafter(1.0F, 0.0F));
  queue.storage.set(1, 0, 1.0);
  test_matrix<float> query(1, 2);
  query.set(0, 0, 3.0);
  CHECK(search(queue.view(), query, 1).indices[0] == 1);
  CHECK(search(feaug::matrix_view<const float>(queue.storage.view()), query, 1).indices[0] == 0);
}

TEST_CASE("dot products are summed in index order", "[nearest]") {
  // 2^60 + 1 − 2^60 is 0 in this order and 1 in others. Exact summation would rank row 0 first.
  test_matrix<float> support(2, 3);
  support.set(0, 0, 1);
  support.set(0, 1, 1);
  support.set(0, 2, -1);
  support.set(1, 1, 0.5);
  test_matrix<float> query(1, 3);
  query.set(0, 0, 0x1p60);
  query.set(0, 1, 1);
  query.set(0, 2, 0x1p60);
  const auto found = search(support.view(), query, 2);
  CHECK(found.indices == std::vector<index_t>{1, 0});
  CHECK(found.similarities.get(0, 1) == 0.0);
}

TEMPLATE_TEST_CASE("zero rows and zero queries have similarity 0", "[nearest]", float, double, half,
                   bfloat16) {
  auto support = test_matrix<TestType>::normal(6, 4, 10);
  support.fill_row(2, 0);
  support.fill_row(4, 0);
  auto queries = test_matrix<TestType>::normal(3, 4, 11);
  queries.fill_row(1, 0);
  const auto found = search(support.view(), queries, 6);
  require_exact(found, rows_of(support), queries, 6);
  for (index_t rank = 0; rank < 6; ++rank) {
    CHECK(found.indices[static_cast<std::size_t>(6 + rank)] == rank);
    CHECK(found.similarities.get(1, rank) == 0.0);
  }
}

TEMPLATE_TEST_CASE("a non-finite query has no neighbours", "[nearest]", float, double, half,
                   bfloat16) {
  const double bad = GENERATE(as<double>{}, not_a_number, infinity, -infinity);
  const auto support = test_matrix<TestType>::normal(8, 3, 12);
  auto queries = test_matrix<TestType>::normal(18, 3, 13);
  queries.set(0, 2, bad);
  queries.set(17, 0, bad);
  const auto found = search(support.view(), queries, 2);
  require_exact(found, rows_of(support), queries, 2);
  CHECK(found.indices[0] == -1);
  CHECK(std::isnan(found.similarities.get(0, 1)));
  CHECK(std::isnan(found.values.get(1, 0)));
  CHECK(found.indices[2] >= 0);
}

TEMPLATE_TEST_CASE("non-finite rows come last", "[nearest]", float, double, half, bfloat16) {
  const double bad = GENERATE(as<double>{}, not_a_number, infinity, -infinity);
  owned_queue<TestType> queue{.storage = test_matrix<TestType>::normal(7, 3, 14),
                              .size = 7,
                              .normalize = GENERATE(true, false)};
  queue.storage.set(0, 0, bad);
  queue.storage.set(4, 1, bad);
  queue.storage.fill_row(5, bad);
  const auto queries = test_matrix<TestType>::normal(5, 3, 15);
  auto rows = rows_of(queue.storage);
  rows.unit = queue.normalize;
  const auto found = search(queue.view(), queries, 7);
  require_exact(found, rows, queries, 7);
  CHECK(found.indices[4] == 0);
  CHECK(found.indices[5] == 4);
  CHECK(found.indices[6] == 5);
  CHECK(std::isnan(found.similarities.get(0, 4)));
  require_exact(search(queue.storage.view(), queries, 7), rows_of(queue.storage), queries, 7);
}

TEST_CASE("cosines of huge and tiny rows", "[nearest]") {
  const double scale = GENERATE(1e18, 1e-11, 3e38);
  auto support = test_matrix<float>::normal(9, 4, 16);
  for (index_t j = 0; j < 4; ++j) support.set(3, j, scale * (j % 2 == 0 ? 0.9 : -0.8));
  test_matrix<float> query(1, 4);
  for (index_t j = 0; j < 4; ++j) query.set(0, j, support.get(3, j));
  const auto found = search(support.view(), query, 9);
  require_exact(found, rows_of(support), query, 9);
  CHECK(found.indices[0] == 3);
  CHECK(found.similarities.get(0, 0) == Approx(1.0));
}

TEMPLATE_TEST_CASE("the same bits for any number of threads", "[nearest]", float, double, half,
                   bfloat16) {
  const auto queries = test_matrix<TestType>::normal(75, 31, 17);
  const auto support = test_matrix<TestType>::normal(400, 31, 18);
  const auto one = search(support.view(), queries, 7, 1);
  for (const int threads : {2, 3}) {
    const auto several = search(support.view(), queries, 7, threads);
    CHECK(several.indices == one.indices);
    CHECK(several.similarities.values() == one.similarities.values());
    CHECK(several.values.values() == one.values.values());
  }
}

TEST_CASE("rows with the query's id are excluded", "[nearest]") {
  const bool normalize = GENERATE(true, false);
  owned_queue<float> queue{.storage = test_matrix<float>::normal(10, 4, 19),
                           .size = 10,
                           .normalize = normalize,
                           .ids = {5, 1, 1, 2, 5, 1, 1, 1, 3, 1}};
  const auto queries = test_matrix<float>::normal(4, 4, 20);
  const std::vector<std::int64_t> own = {1, 5, 2, 77};
  auto rows = rows_of(queue.storage);
  rows.unit = normalize;
  rows.ids = queue.ids;
  for (const index_t k : {1, 4, 10}) {
    const auto found = search(queue.view(), queries, k, 2, own);
    require_exact(found, rows, queries, k, own);
    if (k == 10) {  // six of ten rows have the first query's id
      CHECK(found.indices[3] >= 0);
      CHECK(found.indices[4] == -1);
      CHECK(std::isnan(found.similarities.get(0, 4)));
      CHECK(std::isnan(found.values.get(4, 0)));
    }
  }
}

TEST_CASE("nearest writes only the given outputs, and accepts broadcast queries", "[nearest]") {
  const auto support = test_matrix<float>::normal(12, 3, 21);
  const auto query = test_matrix<float>::normal(1, 3, 22);
  const feaug::matrix_view<const float> broadcast(query.view().data, 5, 3, 0);
  feaug::cpu_context ctx{.threads = 1};
  test_matrix<float> values(5, 3);
  feaug::nearest(ctx, support.view(), broadcast, {.values = values.view()});
  std::vector<index_t> indices(5);
  feaug::nearest(ctx, support.view(), broadcast, {.indices = {indices.data(), 5, 1}});
  for (const index_t index : indices) {
    CHECK(index == indices[0]);
    CHECK(values.get(4, 2) == support.get(index, 2));
  }
}

TEST_CASE("nearest of no queries", "[nearest]") {
  const auto support = test_matrix<float>::normal(3, 2, 23);
  feaug::cpu_context ctx{.threads = 2};
  const feaug::matrix_view<const float> none(nullptr, 0, 2);
  CHECK(message_of([&] { feaug::nearest(ctx, support.view(), none, {}); }).empty());
}

TEST_CASE("the scratch memory of a search is bounded and reused", "[nearest]") {
  const auto queries = test_matrix<float>::normal(40, 3000, 24);
  const auto support = test_matrix<float>::normal(300, 3000, 25);
  feaug::cpu_context ctx{.threads = 2};
  std::vector<index_t> indices(40 * 300);
  const auto run = [&] {
    feaug::nearest(ctx, support.view(), queries.view(), {.indices = {indices.data(), 40, 300}},
                   {.k = 300});
  };
  run();
  const std::size_t capacity = ctx.workspace.capacity();
  CHECK(capacity <= 2 * (352U << 10) + 300 * 8 + 4096);
  run();
  CHECK(ctx.workspace.capacity() == capacity);
}

TEST_CASE("the scratch memory of a search does not grow with a huge support", "[nearest]") {
  const index_t m = (index_t{1} << 20) + 5;
  test_matrix<float> support(m, 2);
  for (index_t i = 0; i < m; ++i) {
    support.set(i, 0, 1);
    support.set(i, 1, static_cast<double>(1 + i % 1000));
  }
  for (const index_t best : {m - 2, m - 1}) support.fill_row(best, 8);  // tie with every 1000th row
  test_matrix<float> query(1, 2);
  query.fill(3);
  feaug::cpu_context ctx{.threads = 2};
  std::vector<index_t> indices(1052);
  feaug::nearest(ctx, support.view(), query.view(), {.indices = {indices.data(), 1, 1052}},
                 {.k = 1052});
  CHECK(ctx.workspace.capacity() < (1U << 20));
  for (index_t rank = 0; rank < 1049; ++rank)
    CHECK(indices[static_cast<std::size_t>(rank)] == rank * 1000);
  CHECK(indices[1049] == m - 2);
  CHECK(indices[1050] == m - 1);
  CHECK(indices[1051] == 1);
}

TEST_CASE("error messages of nearest", "[nearest]") {
  feaug::cpu_context ctx{.threads = 1};
  owned_queue<float> queue{.storage = test_matrix<float>::normal(6, 3, 26), .cursor = 4, .size = 4};
  auto queries = test_matrix<float>::normal(2, 3, 27);
  test_matrix<float> values(2, 3);
  test_matrix<float> similarities(2, 1);
  std::vector<index_t> indices(2);
  const feaug::matrix_view<index_t> index_view(indices.data(), 2, 1);
  const std::vector<std::int64_t> own = {1, 2, 3};

  const auto message = [&](const feaug::nearest_outputs<float>& outputs,
                           const feaug::nearest_options& options = {}) {
    return message_of([&] { feaug::nearest(ctx, queue.view(), queries.view(), outputs, options); });
  };
  CHECK(message({.values = values.view()}).empty());
  CHECK(message({}) == "nearest: outputs: got none, wanted indices, similarities or values");
  CHECK(message({.values = values.view()}, {.k = 0}) ==
        "nearest: k: got 0, wanted a number from 1 to 4");
  CHECK(message({.values = values.view()}, {.k = 5}) ==
        "nearest: k: got 5, wanted a number from 1 to 4");
  CHECK(message({.indices = index_view}, {.k = 2}) ==
        "nearest: indices: got shape (2, 1), wanted shape (2, 2) as the queries, k and the support "
        "ask for");
  CHECK(message({.similarities = values.view()}) ==
        "nearest: similarities: got shape (2, 3), wanted shape (2, 1) as the queries, k and the "
        "support ask for");
  CHECK(message({.values = values.view()}, {.k = 2}) ==
        "nearest: values: got shape (2, 3), wanted shape (4, 3) as the queries, k and the support "
        "ask for");
  CHECK(message({.values = queries.view()}) ==
        "nearest: values: got memory that overlaps queries, wanted memory of its own");
  CHECK(message({.values = queue.storage.view().rows_from(1, 2)}) ==
        "nearest: values: got memory that overlaps queue.storage, wanted memory of its own");
  CHECK(message({.similarities = {values.view().data, 2, 1}, .values = values.view()}) ==
        "nearest: values: got memory that overlaps similarities, wanted memory of its own");
  CHECK(message({.indices = index_view}, {.exclude_ids = {own.data(), 2}}) ==
        "nearest: exclude_ids: got 2 ids, wanted none, since the rows carry no ids");
  queue.ids = {1, 2, 3, 4, 5, 6};
  CHECK(message({.indices = index_view}, {.exclude_ids = {own.data(), 3}}) ==
        "nearest: exclude_ids: got 3 elements, wanted 2 (one a query)");
  CHECK(message({.indices = {queue.ids.data() + 3, 2, 1}}) ==
        "nearest: indices: got memory that overlaps queue.ids, wanted memory of its own");
  CHECK(message({.indices = index_view}, {.exclude_ids = {indices.data(), 2}}) ==
        "nearest: indices: got memory that overlaps exclude_ids, wanted memory of its own");

  queue.cursor = queue.size = 0;
  CHECK(message({.values = values.view()}) ==
        "nearest: queue: got no filled rows, wanted at least one row to find");
  const test_matrix<float> wide(2, 4);
  CHECK(message_of([&] {
          feaug::nearest(ctx, wide.view(), queries.view(), {.values = values.view()});
        }) == "nearest: queries: got 3 columns, wanted 4 as support");
  const feaug::matrix_view<const float> empty(nullptr, 0, 3);
  CHECK(message_of([&] {
          feaug::nearest(ctx, empty, queries.view(), {.values = values.view()});
        }) == "nearest: support: got no filled rows, wanted at least one row to find");
}

}  // namespace nearest_test
